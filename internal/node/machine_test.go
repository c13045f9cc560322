package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

const testDigest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// machines are three hosts of their own.
func machines() []cluster.Host {
	list := hosts([]string{"10.5.1.81", "10.5.1.82", "2001:db8::203"}, func(int) cluster.Ports { return cluster.StandardPorts() })
	for i := range list {
		list[i].Paths = MachinePaths()
	}
	return list
}

// machine is a node of the first of them, sealed.
func machine(edit func(*cluster.Spec)) Node {
	list := machines()
	return Render(dev(edit), cluster.Marker{Cluster: "dev", Token: "t0k3n", Phase: cluster.Sealed}, list, list[0], "")
}

func onVolume(s *cluster.Spec) {
	s.Hosts = cluster.HostsSpec{SSH: &cluster.SSHHosts{DataDevice: "/dev/disk/by-id/virtio-etcd"}}
}

func released(s *cluster.Spec) {
	s.Etcd.Release = &cluster.EtcdRelease{Version: "3.6.5", BaseURL: "https://example.com/etcd", SHA256: map[string]string{"amd64": "aa", "arm64": "bb"}}
}

func TestUnits(t *testing.T) {
	binary := BinaryPath(testDigest)
	for name, got := range map[string][]byte{
		"unit":         machine(func(*cluster.Spec) {}).Unit(binary, 1<<20),
		"unit-release": machine(released).Unit(binary, 4096),
		"unit-volume":  machine(onVolume).Unit(binary, 1<<20),
		"mount":        machine(onVolume).Mount("1d0c5d0e-5b1c-4c55-8f0e-1d3d6f1f9b53"),
		"hosts":        machine(func(*cluster.Spec) {}).Hosts(),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", "machine-"+name+".golden")
			if *rewrite {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-golden +rendered):\n%s", path, diff)
			}
		})
	}
}

// Before the cluster is sealed the file must not hide what DNS says.
func TestHostsBeforeTheSeal(t *testing.T) {
	list := machines()
	n := Render(dev(func(*cluster.Spec) {}), cluster.Marker{Cluster: "dev", Token: "t0k3n", Phase: cluster.Bootstrapping}, list, list[0], "")
	if got := string(n.Hosts()); strings.Contains(got, "dev.test") || !strings.Contains(got, "127.0.0.1 localhost\n") {
		t.Errorf("hosts file before the seal:\n%s", got)
	}
}
