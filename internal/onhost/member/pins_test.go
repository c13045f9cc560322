package member

import (
	"bytes"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Rule R9: a member that runs finds peers that join later, by the pins of the
// node that was delivered since, and loses none of those it has to a file that
// it cannot use. A founder's pins stay what its gate has verified until its
// cluster is sealed (rule R3).
func TestPinsFollowTheNode(t *testing.T) {
	t.Parallel()
	host := func(name cluster.MemberName, address string) cluster.Host {
		return cluster.Host{Name: name, Address: netip.MustParseAddr(address), Ports: cluster.StandardPorts()}
	}
	a := newHost(t, "etcd-a")
	b, elsewhere, c := host("etcd-b", "10.0.0.2"), host("etcd-b", "10.0.0.9"), host("etcd-c", "10.0.0.3")
	file := filepath.Join(a.Paths.Config, node.FileName)
	founder := render(cluster.Bootstrapping, nobody, a, b)
	p := pins{of: &founder}
	var err error
	if p.at, err = parsePins(verified(founder.Gate)); err != nil {
		t.Fatal(err)
	}
	sealed := func(others ...cluster.Host) node.Node { return render(cluster.Sealed, nobody, a, others...) }
	with := func(n node.Node, edit func(n *node.Node)) []byte { edit(&n); return n.Encode() }
	mine := a.Address.String()
	two := map[string]string{"etcd-a.dev.test.": mine, "etcd-b.dev.test.": "10.0.0.2"}
	three := map[string]string{"etcd-a.dev.test.": mine, "etcd-b.dev.test.": "10.0.0.2", "etcd-c.dev.test.": "10.0.0.3"}
	for _, tt := range []struct {
		name string
		file []byte // nil: there is none
		want map[string]string
	}{
		{"no file", nil, two},
		{"founding, with another address", render(cluster.Bootstrapping, nobody, a, elsewhere).Encode(), two},
		{"another incarnation's", with(sealed(b, c), func(n *node.Node) { n.Token = "another" }), two},
		{"another member's", with(sealed(b, c), func(n *node.Node) { n.Name = "etcd-z" }), two},
		{"sealed", sealed(b).Encode(), two},
		{"a member joins", sealed(b, c).Encode(), three},
		{"taken away", nil, three},
		{"half a file", sealed(b).Encode()[:100], three},
		{"too long", bytes.Repeat([]byte(" "), 2<<20), three},
		{"a pin that is no address", with(sealed(b), func(n *node.Node) { n.Pins["etcd-b.dev.test"] = "etcd-b" }), three},
		{"a member leaves", sealed(b).Encode(), two},
	} {
		if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if tt.file != nil {
			write(t, file, tt.file)
		}
		for _, when := range []string{"once", "again"} {
			got := map[string]string{}
			for name, at := range p.now() {
				got[name] = at.String()
			}
			if !maps.Equal(got, tt.want) {
				t.Errorf("%s, %s: pinned %v, want %v", tt.name, when, got, tt.want)
			}
		}
	}
}

// The member file is read when it has changed, not at each lookup.
func TestPinsAreReadOnce(t *testing.T) {
	t.Parallel()
	n := render(cluster.Sealed, nobody, newHost(t, "etcd-a"))
	install(t, n)
	p := pins{of: &n}
	first := p.now()
	file := filepath.Join(n.Paths.Config, node.FileName)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(n.Encode()), `"etcd-a.dev.test": "1`, `"etcd-a.dev.test": "2`, 1)
	write(t, file, []byte(changed)) // in place, of the same size
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if got := p.now(); !maps.Equal(got, first) {
		t.Errorf("a file that looks the same was read again: %v, before %v", got, first)
	}
	if err := os.Chtimes(file, info.ModTime(), info.ModTime().Add(1)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 { // etcd looks names up from many goroutines
		wg.Go(func() {
			if got := p.now(); maps.Equal(got, first) {
				t.Errorf("a changed file was not read: %v", got)
			}
		})
	}
	wg.Wait()
}
