// Package handmade is etcd on this machine as a careful person sets it up by hand:
// static flags, addresses for names, TLS for peers and clients with one
// certificate for all, no DNS. It is what the benchmarks compare pleiad with.
//
// [Open] makes the certificates, [Cluster.Start] runs a member. Close ends all
// that were started; nothing outlives the command.
package handmade

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/pki"
)

// most members that the certificate is valid for.
const most = 9

// Cluster is one cluster in a folder of its own. Members go by their numbers, from 0.
type Cluster struct {
	etcd, dir string
	tls       *tls.Config
	health    *http.Client
	running   map[int]*exec.Cmd
}

// Open makes the certificates of a cluster in a new folder. etcd is the program.
func Open(etcd, dir string) (*Cluster, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	config, err := certificates(dir)
	if err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	return &Cluster{etcd: etcd, dir: dir, tls: config, running: map[int]*exec.Cmd{},
		health: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: config}}}, nil
}

// Start runs a member. The cluster is one of the members given: a new one, or an
// existing one that the member was added to.
func (c *Cluster) Start(ctx context.Context, i int, state string, members ...int) error {
	log, err := os.OpenFile(filepath.Join(c.dir, Name(i)+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, c.etcd, c.flags(i, state, members)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start member %d: %w", i, err)
	}
	c.running[i] = cmd
	return nil
}

// Name, PeerURL and ClientURL of a member.
func Name(i int) string      { return fmt.Sprintf("m%d", i) }
func PeerURL(i int) string   { return "https://" + address(i) + ":2380" }
func ClientURL(i int) string { return "https://" + address(i) + ":2379" }

func address(i int) string { return fmt.Sprintf("127.222.1.%d", i+1) }

func (c *Cluster) flags(i int, state string, members []int) []string {
	var list []string
	for _, j := range members {
		list = append(list, Name(j)+"="+PeerURL(j))
	}
	ca, cert, key := c.files()
	return []string{
		"--name=" + Name(i), "--data-dir=" + c.data(i),
		"--listen-peer-urls=" + PeerURL(i), "--initial-advertise-peer-urls=" + PeerURL(i),
		"--listen-client-urls=" + ClientURL(i), "--advertise-client-urls=" + ClientURL(i),
		"--initial-cluster=" + strings.Join(list, ","), "--initial-cluster-state=" + state, "--initial-cluster-token=" + filepath.Base(c.dir),
		"--cert-file=" + cert, "--key-file=" + key, "--trusted-ca-file=" + ca, "--client-cert-auth",
		"--peer-cert-file=" + cert, "--peer-key-file=" + key, "--peer-trusted-ca-file=" + ca, "--peer-client-cert-auth",
	}
}

func (c *Cluster) data(i int) string { return filepath.Join(c.dir, Name(i)) }

// Kill ends a member as a crash does, and returns when it is gone.
func (c *Cluster) Kill(i int) error {
	cmd := c.running[i]
	delete(c.running, i)
	if err := cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill member %d: %w", i, err)
	}
	_ = cmd.Wait() // says that it was killed
	return nil
}

// Wipe removes the data of a member that does not run.
func (c *Cluster) Wipe(i int) error { return os.RemoveAll(c.data(i)) }

// Close ends all members.
func (c *Cluster) Close() error {
	var errs []error
	for i := range c.running {
		errs = append(errs, c.Kill(i))
	}
	c.health.CloseIdleConnections()
	return errors.Join(errs...)
}

// Healthy waits until members answer /health, which is a linearizable read.
func (c *Cluster) Healthy(ctx context.Context, members ...int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, i := range members {
		for !c.healthy(ctx, i) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("member %d is not healthy: %w", i, ctx.Err())
			case <-time.After(2 * time.Millisecond):
			}
		}
	}
	return nil
}

func (c *Cluster) healthy(ctx context.Context, i int) bool {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, ClientURL(i)+"/health", nil)
	if err != nil {
		return false
	}
	answer, err := c.health.Do(ask)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
	return err == nil && strings.Contains(string(body), `"health":"true"`)
}

// Flags are those with which etcdctl reaches the members given.
func (c *Cluster) Flags(members ...int) []string {
	var urls []string
	for _, i := range members {
		urls = append(urls, ClientURL(i))
	}
	ca, cert, key := c.files()
	return []string{"--endpoints=" + strings.Join(urls, ","), "--cacert=" + ca, "--cert=" + cert, "--key=" + key}
}

func (c *Cluster) files() (ca, cert, key string) {
	return filepath.Join(c.dir, "ca.crt"), filepath.Join(c.dir, "member.crt"), filepath.Join(c.dir, "member.key")
}

// Client is a client of the members given. The caller closes it.
func (c *Cluster) Client(members ...int) (*clientv3.Client, error) {
	config := clientv3.Config{TLS: c.tls.Clone(), Logger: zap.NewNop()}
	for _, i := range members {
		config.Endpoints = append(config.Endpoints, ClientURL(i))
	}
	return clientv3.New(config)
}

// certificates makes one certificate for all members, which is what scripts do.
func certificates(dir string) (*tls.Config, error) {
	ca, err := pki.NewPeerCA(rand.Reader, time.Now(), "byhand")
	if err != nil {
		return nil, err
	}
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	names := []string{"127.0.0.1"}
	for i := range most {
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
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
