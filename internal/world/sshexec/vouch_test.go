package sshexec_test

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec/sshexectest"
)

// Who vouches for a host decides which keys it may show, whatever known_hosts has
// for its address, which may have been another machine's; but a revoked key stays
// revoked.
func TestVouched(t *testing.T) {
	t.Parallel()
	own, first, other := sshexectest.NewKey(t, ""), sshexectest.NewKey(t, ""), sshexectest.NewKey(t, "")
	signed := certify(t, other, own, time.Now().Add(-time.Hour), "etcd-k3v9qd2")
	vouch := sshexec.HostKeys{Name: "etcd-k3v9qd2", Keys: []ssh.PublicKey{own.PublicKey()}}
	both := sshexec.HostKeys{Name: "etcd-k3v9qd2", Keys: []ssh.PublicKey{first.PublicKey(), own.PublicKey()}}
	for name, test := range map[string]struct {
		server []ssh.Signer
		vouch  sshexec.HostKeys
		known  ssh.Signer // what known_hosts has for the address
		mark   string     // before it
		want   sshexec.KeyProblem
	}{
		"its own key":                   {server: []ssh.Signer{own}, vouch: vouch},
		"its own key beside others":     {server: []ssh.Signer{ecdsaKey(t), rsaKey(t), own}, vouch: vouch},
		"in a certificate":              {server: []ssh.Signer{signed}, vouch: vouch},
		"the key of the address before": {server: []ssh.Signer{own}, vouch: vouch, known: other},
		"one of two":                    {server: []ssh.Signer{first}, vouch: both, known: other},
		"the first key no more":         {server: []ssh.Signer{first}, vouch: vouch, want: sshexec.KeyForeign},
		"known, and nobody vouches":     {server: []ssh.Signer{other}, vouch: vouch, known: other, want: sshexec.KeyForeign},
		"an authority of the person's":  {server: []ssh.Signer{certify(t, other, first, time.Now(), "etcd-k3v9qd2")}, vouch: vouch, known: other, mark: "@cert-authority ", want: sshexec.KeyForeign},
		"its own key, revoked":          {server: []ssh.Signer{own}, vouch: both, known: own, mark: "@revoked ", want: sshexec.KeyRevoked},
		"no key":                        {server: []ssh.Signer{own}, vouch: sshexec.HostKeys{Name: "etcd-k3v9qd2"}, want: sshexec.KeyForeign},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sshexectest.Start(t, sshexectest.Options{Address: address, HostKeys: test.server})
			known := ""
			if test.known != nil {
				known = test.mark + line(s.Addr, test.known) + "\n"
			}
			if err := os.WriteFile(s.KnownHosts, []byte(known), 0o600); err != nil {
				t.Fatal(err)
			}
			asked := ""
			p := sshexec.New(sshexec.Config{SSHConfig: sshexectest.Config(t, s), Vouch: func(name string) (sshexec.HostKeys, error) {
				asked = name
				return test.vouch, nil
			}})
			t.Cleanup(func() { p.Close() })
			_, err := p.Vouched(netip.MustParseAddr(address), "etcd-k3v9qd2").Run(t.Context(), "true", nil)
			var e *sshexec.HostKeyError
			switch {
			case asked != "etcd-k3v9qd2":
				t.Errorf("asked for %q", asked)
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (!errors.As(err, &e) || e.Problem != test.want || !fault.Lasting(err) || len(fault.Remedy(err)) == 0):
				t.Errorf("%v, want %s, with a remedy", err, test.want)
			case test.want != "" && len(s.Offered()) > 0:
				t.Error("it tried to log in")
			}
		})
	}
}

// What cannot be vouched for is not asked.
func TestVouchFails(t *testing.T) {
	t.Parallel()
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	p := sshexec.New(sshexec.Config{SSHConfig: sshexectest.Config(t, s), Vouch: func(string) (sshexec.HostKeys, error) {
		return sshexec.HostKeys{}, fault.New(fault.Damaged, "the keys cannot be read")
	}})
	t.Cleanup(func() { p.Close() })
	if _, err := p.Vouched(netip.MustParseAddr(address), "etcd-k3v9qd2").Run(t.Context(), "true", nil); !errors.Is(err, fault.Damaged) || len(s.Offered()) > 0 {
		t.Errorf("%v, want why nobody vouches, and no login", err)
	}
	// The same address without a name is a machine that known_hosts knows.
	if _, err := p.Machine(netip.MustParseAddr(address)).Run(t.Context(), "true", nil); err != nil {
		t.Error(err)
	}
}

// A jump host that the caller names takes the place of what ssh_config says, for
// machines and not for jump hosts themselves.
func TestJumpOfTheCaller(t *testing.T) {
	t.Parallel()
	hop := sshexectest.Start(t, sshexectest.Options{Address: "192.0.2.200"})
	s := sshexectest.Start(t, sshexectest.Options{Address: address})
	config := sshexectest.Config(t, s, hop)
	p := sshexec.New(sshexec.Config{SSHConfig: config, Jump: "192.0.2.200"})
	t.Cleanup(func() { p.Close() })
	if _, err := p.Machine(netip.MustParseAddr(address)).Run(t.Context(), "true", nil); err != nil {
		t.Fatal(err)
	}
	if hop.Dialled() == 0 {
		t.Error("nobody went through the jump host")
	}
}
