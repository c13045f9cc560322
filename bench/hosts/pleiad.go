package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pleiad-etcd/pleiad/e2e/nameserver"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

// stand is a bed with a name server on it, and a spec that leads to both.
type stand struct {
	lab    *bed.Bed
	server *nameserver.Server
	dir    string // spec, state and the name server's files
	pleiad string
}

// open makes fresh hosts and an empty zone.
func (b bench) open(ctx context.Context, hosts int) (s stand, err error) {
	s.pleiad = b.pleiad
	if s.dir, err = os.MkdirTemp(b.dir, "stand-"); err != nil {
		return s, err
	}
	if s.lab, err = bed.Open(ctx, hosts); err != nil {
		return s, err
	}
	if err := s.serve(ctx); err != nil {
		return s, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stand) close() error {
	if s.server != nil {
		s.server.Kill()
	}
	return s.lab.Close()
}

func (s *stand) serve(ctx context.Context) error {
	at, err := s.lab.Address(ctx)
	if err != nil {
		return err
	}
	s.server, err = nameserver.New(ctx, nameserver.Config{
		Kind: nameserver.BIND, Dir: filepath.Join(s.dir, "bind"), At: netip.AddrPortFrom(at, 53),
		Zone: "bed.example.", Domain: "c1.bed.example.", Clients: netip.PrefixFrom(at, 24).Masked(),
		Command: s.lab.Command, Dial: s.lab.Dial,
	})
	if err != nil {
		return err
	}
	if err := s.server.Start(ctx); err != nil {
		return err
	}
	if err := s.lab.Forward(ctx, "bed.example.", at); err != nil {
		return err
	}
	return os.WriteFile(s.spec(), []byte(s.specText()), 0o600)
}

func (s *stand) spec() string { return filepath.Join(s.dir, "pleiad.yaml") }

func (s *stand) specText() string {
	var addresses []string
	for _, h := range s.lab.Hosts {
		addresses = append(addresses, h.Addr.String())
	}
	return fmt.Sprintf(`cluster: bench
domain: c1.bed.example
members: %d
hosts:
  ssh:
    addresses: [%s]
    user: root
    identityFile: %s
    knownHosts: %s
dns:
  rfc2136:
    server: %s
    zone: bed.example
    keyFile: %s
`, len(addresses), strings.Join(addresses, ", "), s.lab.Key(), s.lab.KnownHosts(), s.server.Addr(), s.server.KeyFile())
}

// command is pleiad on the controller, with a home that holds nothing.
func (s *stand) command(ctx context.Context, args ...string) *exec.Cmd {
	args = append(args, "-f", s.spec(), "--state-dir", filepath.Join(s.dir, "state"))
	cmd := s.lab.Command(ctx, s.pleiad, args...)
	cmd.Env = append(cmd.Env, "HOME="+s.dir)
	return cmd
}

// byPleiad measures one fresh cluster, and the commands that find nothing to
// do there.
func (b bench) byPleiad(ctx context.Context, r *results) (err error) {
	s, err := b.open(ctx, r.hosts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	took, err := timed(s.command(ctx, "up"))
	if err != nil {
		return fmt.Errorf("pleiad up: %w", err)
	}
	r.up = append(r.up, took)

	before, err := s.received(ctx)
	if err != nil {
		return err
	}
	if took, err = timed(s.command(ctx, "up")); err != nil {
		return fmt.Errorf("pleiad up with nothing to do: %w", err)
	}
	r.noop = append(r.noop, took)
	after, err := s.received(ctx)
	if err != nil {
		return err
	}
	var most uint64
	for i := range after {
		most = max(most, after[i]-before[i])
	}
	r.pushed = append(r.pushed, most)

	if took, err = timed(s.command(ctx, "status")); err != nil {
		return fmt.Errorf("pleiad status: %w", err)
	}
	r.status = append(r.status, took)
	return nil
}

// received are the bytes that each host has received. They hold what members
// say to each other meanwhile, some kilobytes a second.
func (s *stand) received(ctx context.Context) ([]uint64, error) {
	var out []uint64
	for _, h := range s.lab.Hosts {
		t, err := h.Traffic(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, t.Received)
	}
	return out, nil
}
