package node

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

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
			if *update {
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

// drawHostsFile draws a hosts file of lines of others and blocks of ours, whole
// and cut off, as people, editors and crashes leave it.
func drawHostsFile(t *rapid.T) []byte {
	ours := []string{hostsBegin, "10.5.1.81 etcd-a.dev.test", "10.5.1.82 etcd-b.dev.test", hostsEnd}
	end := rapid.SampledFrom([]string{"\n", "\r\n"})
	var b bytes.Buffer
	for range rapid.IntRange(0, 6).Draw(t, "parts") {
		part := []string{rapid.StringMatching(`[ -~\t]{0,20}`).Draw(t, "line")}
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			part = ours
		case 1:
			part = ours[:rapid.IntRange(1, len(ours)-1).Draw(t, "cut")]
		case 2:
			part = ours[rapid.IntRange(1, len(ours)-1).Draw(t, "begin"):]
		case 3:
			part = []string{"# see also: " + hostsBegin, " " + hostsEnd}
		}
		for _, line := range part {
			b.WriteString(line + end.Draw(t, "end of line"))
		}
	}
	file := b.Bytes()
	if rapid.Bool().Draw(t, "without final newline") {
		file = bytes.TrimRight(file, "\r\n")
	}
	return file
}

// A block that an earlier version put on top goes, and nothing else does.
func TestUnpinHosts(t *testing.T) {
	block := []byte(hostsBegin + "\n10.5.1.81 etcd-a.dev.test\n" + hostsEnd + "\n")
	rapid.Check(t, func(t *rapid.T) {
		file := drawHostsFile(t)
		before := slices.Clone(file)
		if got := UnpinHosts(slices.Concat(block, file)); !bytes.Equal(got, file) {
			t.Fatalf("unpinned is %q, want %q", got, file)
		}
		UnpinHosts(file)
		if !bytes.Equal(file, before) {
			t.Fatalf("the caller's bytes are now %q, were %q", file, before)
		}
	})
}

// Lines of others survive wherever they stand.
func TestUnpinHostsKeepsOtherLines(t *testing.T) {
	block := hostsBegin + "\n10.5.1.81 a\n" + hostsEnd + "\n"
	for _, tt := range []struct{ name, file, want string }{
		{"no block", "1.2.3.4 x", "1.2.3.4 x"},
		{"first", block + "1.2.3.4 x", "1.2.3.4 x"},
		{"moved down", "1.2.3.4 x\n" + block + "1.2.3.5 y", "1.2.3.4 x\n1.2.3.5 y"},
		{"last, without final newline", "1.2.3.4 x\n" + strings.TrimSuffix(block, "\n"), "1.2.3.4 x\n"},
		{"CRLF", strings.ReplaceAll("1.2.3.4 x\n"+block+"1.2.3.5 y\n", "\n", "\r\n"), "1.2.3.4 x\r\n1.2.3.5 y\r\n"},
		{"its end cut off", hostsBegin + "\n10.5.1.81 a\n1.2.3.4 x\n", hostsBegin + "\n10.5.1.81 a\n1.2.3.4 x\n"},
		{"a whole one after a cut one", hostsBegin + "\n1.2.3.4 x\n" + block, hostsBegin + "\n1.2.3.4 x\n"},
		{"only an end", "1.2.3.4 x\n" + hostsEnd + "\n", "1.2.3.4 x\n" + hostsEnd + "\n"},
		{"quoted", "# " + hostsBegin + "\n1.2.3.4 x\n" + hostsEnd + "\n", "# " + hostsBegin + "\n1.2.3.4 x\n" + hostsEnd + "\n"},
	} {
		if got := string(UnpinHosts([]byte(tt.file))); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
