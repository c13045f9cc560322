package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Two clusters side by side never meet.
func TestTwoClusters(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "left")
	b.must("up", "--cluster", "right", "--members", "1")
	b.put("left", "who", "left")
	b.put("right", "who", "right")
	b.wantValue("left", "who", "left")
	b.must("destroy", "--cluster", "left", "--yes")
	b.wantValue("right", "who", "right")
}

func TestSizes(t *testing.T) {
	for _, n := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			b := newBed(t)
			b.must("up", "--cluster", "size", "--members", fmt.Sprint(n))
			if r := b.must("health", "--cluster", "size"); strings.Count(r.out, " is healthy:") != n {
				t.Errorf("health: %s", r)
			}
			b.put("size", "a", "b")
			b.must("up", "--cluster", "size", "--members", fmt.Sprint(n+2))
			if r := b.must("health", "--cluster", "size"); strings.Count(r.out, " is healthy:") != n+2 {
				t.Errorf("larger: %s", r)
			}
			b.wantValue("size", "a", "b")
		})
	}
}

func TestWithoutTLS(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "plain", "--tls", "off", "--domain", "plain.example")
	b.put("plain", "a", "b")
	if r := b.must("discover", "plain.example", "--resolver", b.server("plain")); !r.says("http://") || r.says("https://") {
		t.Errorf("discover: %s", r)
	}
	b.must("health", "--cluster", "plain")
}

func TestDiscoveryName(t *testing.T) {
	b := newBed(t)
	spec := filepath.Join(t.TempDir(), "pleiad.yaml")
	text := "cluster: named\ndomain: shared.example.org\ndiscoveryName: c2\nmembers: 3\nhosts:\n  local: {}\ndns:\n  embedded: {}\n"
	if err := os.WriteFile(spec, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b.must("up", "-f", spec)
	b.must("health", "-f", spec)
	b.put("named", "a", "b")
	b.wantValue("named", "a", "b")
	b.must("destroy", "-f", spec, "--yes")
}
