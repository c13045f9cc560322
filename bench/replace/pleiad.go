package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/pleiad-etcd/pleiad/bench/program"
	"github.com/pleiad-etcd/pleiad/bench/sample"
	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/discovery/etcdclient"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// byPleiad measures a cluster of pleiad's: the way back to full strength, and what
// writers notice of everything that may be done to it.
func byPleiad(ctx context.Context, b binaries, dir string, r *results, steps bool) (err error) {
	s := site{dir: dir, Pleiad: program.Pleiad{Binary: b.pleiad, State: filepath.Join(dir, "state"), Cluster: [2]string{"-f", filepath.Join(dir, "pleiad.yaml")}}}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer func() {
		_, _, destroyed := s.Run(context.WithoutCancel(ctx), "destroy", "--yes")
		err = errors.Join(err, destroyed)
	}()
	if err := errors.Join(s.up(ctx, 3, 128), rest(ctx)); err != nil {
		return err
	}
	said, took, err := s.regain(ctx)
	if err != nil {
		return fmt.Errorf("full strength: %w", err)
	}
	r.strength = append(r.strength, took)
	fmt.Printf("%-28s %s\n", "full strength, pleiad up", sample.Ms(took))
	if steps {
		fmt.Print(said)
	}

	client, err := s.client(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	for _, d := range []struct {
		name string
		do   func() error
	}{
		{"rolling restart", func() error { return s.up(ctx, 3, 129) }},
		{"exchange the leader", func() error { return s.exchangeLeader(ctx) }},
		{"grow from 3 to 5", func() error { return s.up(ctx, 5, 129) }},
		{"shrink from 5 to 3", func() error { return s.up(ctx, 3, 129) }},
		{killed, func() error { return s.killLeader(ctx) }},
	} {
		n, err := during(ctx, client.Client, d.do)
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		r.noticed(d.name, n)
	}
	return nil
}

// site is a cluster of pleiad's in a folder of its own, with its spec.
type site struct {
	program.Pleiad
	dir string
}

// up makes the cluster one of so many members, with an option of etcd that nobody
// notices but who looks at its flags.
func (s site) up(ctx context.Context, members, maxTxnOps int) error {
	text := fmt.Sprintf("cluster: bench\ndomain: bench.test\nmembers: %d\netcd:\n  options: {max-txn-ops: %d}\nhosts:\n  local: {}\ndns:\n  embedded: {}\n", members, maxTxnOps)
	if err := os.WriteFile(s.Cluster[1], []byte(text), 0o600); err != nil {
		return err
	}
	_, _, err := s.Run(ctx, "up", "--yes")
	return err
}

// regain loses a follower with its data, and has another member in its place.
func (s site) regain(ctx context.Context) (said string, took time.Duration, err error) {
	lost, err := s.member(ctx, "voter")
	if err != nil {
		return "", 0, err
	}
	if err := errors.Join(s.kill(ctx, lost), os.RemoveAll(filepath.Join(s.host(lost), "data"))); err != nil {
		return "", 0, err
	}
	return s.Run(ctx, "up", "--yes")
}

func (s site) exchangeLeader(ctx context.Context) error {
	leader, err := s.member(ctx, "leader")
	if err != nil {
		return err
	}
	_, _, err = s.Run(ctx, "replace", leader, "--yes")
	return err
}

func (s site) killLeader(ctx context.Context) error {
	leader, err := s.member(ctx, "leader")
	if err != nil {
		return err
	}
	return s.kill(ctx, leader)
}

func (s site) host(name string) string { return filepath.Join(s.State, "bench", "hosts", name) }

// kill ends a member as a crash does, and returns when it is gone.
func (s site) kill(ctx context.Context, name string) error {
	content, err := os.ReadFile(filepath.Join(s.host(name), "config", "status.json"))
	if err != nil {
		return err
	}
	var status struct{ Process process.Stamp }
	if err := json.Unmarshal(content, &status); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return errors.Join(status.Process.Signal(syscall.SIGKILL), status.Process.Wait(ctx))
}

// status is what is used of `pleiad status --output json`.
type status struct {
	NameServer struct{ Address string }
	Hosts      []struct{ Name, Role string }
}

func (s site) status(ctx context.Context) (status, error) {
	var v status
	out, _, err := s.Run(ctx, "status", "--output", "json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &v)
	}
	return v, err
}

// member is a member with a role: leader or voter.
func (s site) member(ctx context.Context, role string) (string, error) {
	v, err := s.status(ctx)
	if err != nil {
		return "", err
	}
	for _, h := range v.Hosts {
		if h.Role == role {
			return h.Name, nil
		}
	}
	return "", fmt.Errorf("no member is a %s", role)
}

// client is a client of an application, that finds the cluster by its SRV records.
func (s site) client(ctx context.Context) (*etcdclient.Client, error) {
	folder := filepath.Join(s.dir, "client")
	if _, _, err := s.Run(ctx, "certificate", "bench", "--to", folder); err != nil {
		return nil, err
	}
	v, err := s.status(ctx)
	if err != nil {
		return nil, err
	}
	info := transport.TLSInfo{CertFile: filepath.Join(folder, "bench.crt"), KeyFile: filepath.Join(folder, "bench.key"), TrustedCAFile: filepath.Join(folder, "ca.crt")}
	config, err := info.ClientConfig()
	if err != nil {
		return nil, err
	}
	return etcdclient.New(ctx, "bench.test", clientv3.Config{TLS: config, Logger: zap.NewNop()}, discovery.WithResolver(discovery.NameServer(v.NameServer.Address)))
}
