package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
)

func TestBlocksAvoidOtherSoftware(t *testing.T) {
	seen := map[netip.Prefix]bool{}
	for i := range 2000 {
		b := Block("/state", cluster.Name(fmt.Sprint("c", i)), 0)
		a := b.Addr().As4()
		if a[0] != 127 || a[1] == 0 || a[1] == 255 || a[3] != 0 || b.Bits() != 24 {
			t.Fatalf("block %v", b)
		}
		seen[b] = true
	}
	if len(seen) < 1900 { // of 65024 blocks: 31 collisions expected
		t.Errorf("2000 clusters share %d blocks", len(seen))
	}
	one := Block("/state", "dev", 0)
	if one != Block("/state/", "dev", 0) {
		t.Error("the block depends on how the root is written")
	}
	for _, other := range []netip.Prefix{Block("/state2", "dev", 0), Block("/state", "dev2", 0), Block("/state", "dev", 1)} {
		if one == other {
			t.Errorf("%v twice", one)
		}
	}
}

func TestCandidates(t *testing.T) {
	p := &Provider{root: "/state/dev", cluster: "dev"}
	server := Block(p.root, p.cluster, 0).Addr().Next()
	var all []place
	for c := range p.candidates() {
		if c.address == server {
			t.Errorf("%v is the name server's", c)
		}
		all = append(all, c)
	}
	if want := server.Next(); all[0].address != want || all[0].ports != cluster.StandardPorts() {
		t.Errorf("first is %v, want %v with etcd's ports", all[0], want)
	}
	if n := choices * 253; all[n-1].ports != cluster.StandardPorts() || all[n].ports == cluster.StandardPorts() {
		t.Errorf("candidates %d and %d are %v and %v, want the last of its own address and the first of shared 127.0.0.1", n-1, n, all[n-1], all[n])
	}
	taken := map[netip.AddrPort]bool{}
	for _, c := range all {
		for _, port := range c.all() {
			at := netip.AddrPortFrom(c.address, port)
			if taken[at] {
				t.Fatalf("%v is in two candidates", at)
			}
			taken[at] = true
		}
	}
}

func TestCollides(t *testing.T) {
	a, b := netip.MustParseAddr("127.1.1.2"), netip.MustParseAddr("127.1.1.3")
	std := cluster.StandardPorts()
	mixed := cluster.Ports{Peer: 5000, Client: 5001, Metrics: std.Peer}
	for _, c := range []struct {
		a, b place
		want bool
	}{
		{place{a, std}, place{a, std}, true},
		{place{a, std}, place{b, std}, false},
		{place{a, std}, place{a, mixed}, true},
		{place{a, mixed}, place{a, cluster.Ports{Peer: 6, Client: 7, Metrics: 8}}, false},
	} {
		if got := c.a.collides(c.b); got != c.want {
			t.Errorf("%v collides with %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// first is the place that the next host would get.
func first(t *testing.T, p *Provider) place {
	t.Helper()
	c, release, err := p.choose(t.Context(), bind)
	if err != nil {
		t.Fatal(err)
	}
	release()
	return c
}

func TestOccupiedAddressIsSkipped(t *testing.T) {
	p := &Provider{root: filepath.Join(t.TempDir(), "dev"), cluster: "dev"}
	a := first(t, p)
	for _, port := range a.all() { // any one of the three is enough
		l, err := listen(t.Context(), netip.AddrPortFrom(a.address, port))
		if err != nil {
			t.Fatal(err)
		}
		if b := first(t, p); b == a {
			t.Errorf("%v was chosen though port %d is taken", b, port)
		}
		if err := processtest.Close(l); err != nil {
			t.Fatal(err)
		}
	}
	if b := first(t, p); b != a {
		t.Errorf("chose %v, want the free %v", b, a)
	}
}

func TestTakenBlockMovesOnToTheNext(t *testing.T) {
	p := &Provider{root: filepath.Join(t.TempDir(), "dev"), cluster: "dev"}
	if first(t, p).ports != cluster.StandardPorts() {
		return // there are no blocks here: 127.0.0.1 is all there is
	}
	claims := 0
	for c := range p.candidates() {
		if claims++; claims > 253 {
			if got := first(t, p); got != c || !Block(p.root, p.cluster, 1).Contains(got.address) {
				t.Errorf("chose %v, want %v of the next block", got, c)
			}
			break
		}
		claimBeside(t, p, fmt.Sprintf("etcd-aaa%04d", claims), c)
	}
}

// Where there is only 127.0.0.1 (macOS), and where something listens on etcd's
// ports on every address, hosts share 127.0.0.1 with ports of their own.
func TestSharedAddress(t *testing.T) {
	for why, errno := range map[string]error{"no other address": syscall.EADDRNOTAVAIL, "wildcard listener": syscall.EADDRINUSE} {
		t.Run(why, func(t *testing.T) {
			p := &Provider{root: filepath.Join(t.TempDir(), "dev"), cluster: "dev"}
			tried := 0
			machine := func(ctx context.Context, c place) (func(), error) {
				if c.ports == cluster.StandardPorts() {
					tried++
					return nil, &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", errno)}
				}
				return bind(ctx, c)
			}
			var chosen []place
			for i := range 3 {
				c, release, err := p.choose(t.Context(), machine)
				if err != nil {
					t.Fatal(err)
				}
				release() // the claim alone must keep the next one away
				chosen = append(chosen, c)
				name := cluster.MemberName(fmt.Sprintf("etcd-aaaaaa%d", i))
				if err := p.claim(claim{Version: claimVersion, Cluster: "dev", Name: name, Token: "t", Address: c.address, Ports: c.ports}); err != nil {
					t.Fatal(err)
				}
			}
			for i, c := range chosen {
				if c.address != netip.MustParseAddr("127.0.0.1") || c.collides(chosen[(i+1)%3]) {
					t.Errorf("chose %v, want three apart on 127.0.0.1", chosen)
				}
			}
			if errno == syscall.EADDRNOTAVAIL && tried != 3 {
				t.Errorf("tried %d addresses that do not exist, want 1 a host", tried)
			}
		})
	}
}

// Another cluster may claim an address between our look at the claims and our
// binding of it.
func TestClaimThatAppearsWhileBinding(t *testing.T) {
	p := &Provider{root: filepath.Join(t.TempDir(), "dev"), cluster: "dev"}
	var lost place
	late := func(ctx context.Context, c place) (func(), error) {
		if lost == (place{}) {
			lost = c
			claimBeside(t, p, "etcd-aaaaaaa", c)
		}
		return bind(ctx, c)
	}
	c, release, err := p.choose(t.Context(), late)
	if err != nil {
		t.Fatal(err)
	}
	release()
	if c.collides(lost) {
		t.Errorf("chose %v, which another cluster has claimed", c)
	}
}

// What is claimed is not even bound: its member may be starting just then.
func TestClaimedPlaceIsNotBound(t *testing.T) {
	p := &Provider{root: filepath.Join(t.TempDir(), "dev"), cluster: "dev"}
	if err := p.Launch(t.Context(), "etcd-aaaaaaa", "t"); err != nil {
		t.Fatal(err)
	}
	l, err := p.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	taken := place{l.Hosts[0].Address, l.Hosts[0].Ports}
	_, release, err := p.choose(t.Context(), func(ctx context.Context, c place) (func(), error) {
		if c.collides(taken) {
			t.Errorf("bound %v, which is claimed", c)
		}
		return bind(ctx, c)
	})
	if err != nil {
		t.Fatal(err)
	}
	release()
}

// Any other error of the kernel is not taken for an occupied address.
func TestOtherErrorsEndTheSearch(t *testing.T) {
	p := &Provider{root: filepath.Join(t.TempDir(), "dev"), cluster: "dev"}
	_, _, err := p.choose(t.Context(), func(context.Context, place) (func(), error) { return nil, syscall.EMFILE })
	if !errors.Is(err, syscall.EMFILE) {
		t.Errorf("choose: %v, want EMFILE", err)
	}
}

// claimBeside makes a host that does not run, of another cluster whose state
// directory stands beside ours.
func claimBeside(t *testing.T, p *Provider, name string, c place) {
	t.Helper()
	folder := filepath.Join(filepath.Dir(p.root), "other", "hosts", name)
	b, err := json.Marshal(claim{Version: claimVersion, Cluster: "other", Name: cluster.MemberName(name), Token: "t", Address: c.address, Ports: c.ports})
	if err == nil {
		err = os.MkdirAll(folder, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, claimFile), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestServerAddress(t *testing.T) {
	root := t.TempDir()
	a, err := ServerAddress(t.Context(), root, "dev", 0)
	if err != nil {
		t.Fatal(err)
	}
	if a != Block(root, "dev", 0).Addr().Next() && a != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("server address is %v", a)
	}
	l, err := listen(t.Context(), netip.AddrPortFrom(a, 0))
	if err != nil {
		t.Fatalf("it cannot be bound: %v", err)
	}
	l.Close()
}

// A command that waits for another one gives up with its context.
func TestLockWaitsForItsContext(t *testing.T) {
	p := &Provider{root: filepath.Join(t.TempDir(), "dev"), cluster: "dev"}
	if err := p.Launch(t.Context(), "etcd-aaaaaaa", "t"); err != nil {
		t.Fatal(err)
	}
	held, err := p.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := p.Launch(ctx, "etcd-bbbbbbb", "t"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Launch under a held lock: %v, want DeadlineExceeded", err)
	}
	released := make(chan error, 1)
	go func() { released <- p.Launch(t.Context(), "etcd-bbbbbbb", "t") }()
	held.Release()
	if err := <-released; err != nil {
		t.Errorf("Launch after the lock was released: %v", err)
	}
}
