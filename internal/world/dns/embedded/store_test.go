package embedded

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

func TestZoneFileIsAMasterFile(t *testing.T) {
	s := testServer(t, before()...)
	content, err := os.ReadFile(filepath.Join(s.dir, zoneFile))
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(content), "\n")
	if !strings.HasPrefix(head, "; pleiad zone, version 1, sha256 ") {
		t.Errorf("line 1: %s", head)
	}
	want := `dev.test. 60 IN SOA ns.dev.test. hostmaster.dev.test. 2 3600 600 86400 1
dev.test. 60 IN NS ns.dev.test.
a.dev.test. 60 IN A 127.0.0.1
a.dev.test. 60 IN A 127.0.0.2
a.dev.test. 60 IN TXT "Text"
ns.dev.test. 60 IN A 127.9.9.9
b.below.dev.test. 60 IN SRV 0 0 2380 a.dev.test.
`
	if diff := cmp.Diff(want, strings.ReplaceAll(body, "\t", " ")); diff != "" {
		t.Error(diff)
	}
	p := wire.NewZoneParser(strings.NewReader(string(content)), "", "")
	n := 0
	for _, ok := p.Next(); ok; _, ok = p.Next() {
		n++
	}
	if p.Err() != nil || n != 7 {
		t.Errorf("as a master file it has %d records: %v", n, p.Err())
	}
}

func TestLoad(t *testing.T) {
	s := testServer(t, before()...)
	got, err := Load(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	want := cluster.Records{Sets: []cluster.RecordSet{
		cluster.NewRecordSet("a.dev.test.", cluster.A, "127.0.0.1", "127.0.0.2"),
		cluster.NewRecordSet("a.dev.test.", cluster.TXT, "Text"),
		cluster.NewRecordSet("b.below.dev.test.", cluster.SRV, "0 0 2380 a.dev.test."),
		cluster.NewRecordSet("ns.dev.test.", cluster.A, "127.9.9.9"),
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// R1: a zone that cannot be read is unknown; it is never taken for empty.
func TestDamagedZoneFileIsAnErrorThatNamesIt(t *testing.T) {
	s := testServer(t, before()...)
	path := filepath.Join(s.dir, zoneFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string) {
		t.Helper()
		got, err := Load(s.dir)
		if err == nil || !strings.Contains(err.Error(), path) || len(got.Sets) > 0 {
			t.Errorf("%s: %v, %v; want an error that names %s", what, got, err, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v looks like a server that never was", what, err)
		}
		if _, err := openServer(s.dir, settings{Zone: "dev.test."}, s.log); err == nil {
			t.Errorf("%s: a server starts on it", what)
		}
	}
	for n := range good { // torn at every byte
		if err := os.WriteFile(path, good[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		check("cut off")
	}
	for n := range good { // one bit wrong in every byte
		bad := slices.Clone(good)
		bad[n] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		check("one bit wrong")
	}
	if err := os.WriteFile(path, make([]byte, maxStore+1), 0o600); err != nil {
		t.Fatal(err)
	}
	check("too large")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check("gone")
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openServer(s.dir, settings{Zone: "other.test."}, s.log); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("another zone's file: %v", err)
	}
	if _, err := Load(s.dir); err != nil {
		t.Errorf("whole again: %v", err)
	}
}

// A crash while writing leaves a torn file beside the zone, never in its place.
func TestFileBesideIsNoZone(t *testing.T) {
	s := testServer(t, before()...)
	beside := filepath.Join(s.dir, zoneFile+".new")
	if err := os.WriteFile(beside, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(s.dir); err != nil {
		t.Fatal(err)
	}
	if got := signed(t, s, message(t, "update new.dev.test. 60 IN A 127.0.0.3")); got.Rcode != wire.RcodeSuccess {
		t.Errorf("%s", wire.RcodeToString[got.Rcode])
	}
	if _, err := os.Stat(beside); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the torn file is still there: %v", err)
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	s := testServer(t, before()...)
	for name, want := range map[string]fs.FileMode{".": 0o700, keyFile: 0o600, zoneFile: 0o600, settingsFile: 0o600} {
		info, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode().Perm(), err, want)
		}
	}
}
