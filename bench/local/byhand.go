package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/pki"
)

// byHand starts three members together, as a careful person would with a
// script: static flags, TLS for peers and clients. It returns the time until
// all three are healthy.
func byHand(ctx context.Context, etcd, dir string) (time.Duration, error) {
	client, err := certificates(dir)
	if err != nil {
		return 0, err
	}
	var started []*exec.Cmd
	defer func() {
		for _, c := range started {
			_ = c.Process.Signal(syscall.SIGKILL)
			_ = c.Wait()
		}
	}()
	begun := time.Now()
	for i := range 3 {
		cmd := exec.CommandContext(ctx, etcd, flags(dir, i)...)
		log, err := os.Create(filepath.Join(dir, fmt.Sprintf("m%d.log", i)))
		if err != nil {
			return 0, err
		}
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		started = append(started, cmd)
	}
	for i := range 3 {
		if err := healthy(ctx, client, i); err != nil {
			return 0, err
		}
	}
	return time.Since(begun), nil
}

func address(i int) string { return fmt.Sprintf("127.222.1.%d", i+1) }

func flags(dir string, i int) []string {
	ip, list := address(i), []string{}
	for j := range 3 {
		list = append(list, fmt.Sprintf("m%d=https://%s:2380", j, address(j)))
	}
	ca, cert, key := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "member.crt"), filepath.Join(dir, "member.key")
	return []string{
		fmt.Sprintf("--name=m%d", i), fmt.Sprintf("--data-dir=%s/m%d", dir, i),
		"--listen-peer-urls=https://" + ip + ":2380", "--initial-advertise-peer-urls=https://" + ip + ":2380",
		"--listen-client-urls=https://" + ip + ":2379", "--advertise-client-urls=https://" + ip + ":2379",
		"--initial-cluster=" + strings.Join(list, ","), "--initial-cluster-state=new", "--initial-cluster-token=" + filepath.Base(dir),
		"--cert-file=" + cert, "--key-file=" + key, "--trusted-ca-file=" + ca, "--client-cert-auth",
		"--peer-cert-file=" + cert, "--peer-key-file=" + key, "--peer-trusted-ca-file=" + ca, "--peer-client-cert-auth",
	}
}

// certificates makes one certificate for all three, which is what scripts do.
func certificates(dir string) (*http.Client, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	ca, err := pki.NewPeerCA(rand.Reader, time.Now(), "byhand")
	if err != nil {
		return nil, err
	}
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	names := []string{"127.0.0.1"}
	for i := range 3 {
		names = append(names, address(i))
	}
	cert, err := ca.IssuePeer(rand.Reader, time.Now(), key, cluster.MemberName("byhand"), names)
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{"ca.crt": ca.PEM(), "member.crt": cert, "member.key": key.PEM()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	pair, err := tls.X509KeyPair(cert, key.PEM())
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.Certificate())
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, MinVersion: tls.VersionTLS12}}}, nil
}

// healthy waits until a member answers /health, which is a linearizable read.
func healthy(ctx context.Context, client *http.Client, i int) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && ctx.Err() == nil; {
		resp, err := client.Get("https://" + address(i) + ":2379/health")
		if err == nil {
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if strings.Contains(string(body), `"health":"true"`) {
				return nil
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	return fmt.Errorf("member %d is not healthy", i)
}
