package member

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
)

const (
	memberA  = cluster.MemberID(0xf00d00000000000a)
	clusterC = cluster.ID(0xc0ffee000000000c)
)

// testNode is a node whose data directory can be made in the test.
func testNode(t *testing.T) node.Node {
	t.Helper()
	return node.Node{Version: node.FileVersion, Token: token, Name: "etcd-a", Member: memberA, ID: clusterC,
		Paths: cluster.Paths{Data: filepath.Join(t.TempDir(), "data")}}
}

// makeWAL makes etcd's own write-ahead log in a data directory, with an entry
// for each of the given data.
func makeWAL(t *testing.T, dataDir string, m cluster.MemberID, c cluster.ID, entries ...[]byte) {
	t.Helper()
	meta, err := proto.Marshal(&etcdserverpb.Metadata{NodeID: new(uint64(m)), ClusterID: new(uint64(c))})
	if err != nil {
		t.Fatal(err)
	}
	w, err := wal.Create(nil, walFolder(dataDir), meta)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range entries {
		e := &raftpb.Entry{Index: new(uint64(i + 1)), Term: new(uint64(1)), Data: b}
		if err := w.Save(&raftpb.HardState{Term: new(uint64(1))}, []*raftpb.Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	unlocked(t, dataDir)
}

// unlocked waits until a closed log can be opened again.
func unlocked(t testing.TB, dataDir string) {
	t.Helper()
	for _, path := range segments(t, dataDir) {
		if err := processtest.Unlocked(path); err != nil {
			t.Fatal(err)
		}
	}
}

func segments(t testing.TB, dataDir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(walFolder(dataDir), "*.wal"))
	if err != nil || len(found) == 0 {
		t.Fatalf("segments: %v, %v", found, err)
	}
	return found
}

// What a data directory can look like, apart from the crash points of
// TestCrashPoints.
func TestReadData(t *testing.T) {
	present := cluster.Data{Present: true, Member: memberA, Cluster: clusterC}
	for _, tt := range []struct {
		name  string
		setup func(t *testing.T, n node.Node)
		want  cluster.Data
		says  []string // of the error
	}{
		{name: "no folder", setup: func(*testing.T, node.Node) {}},
		{name: "empty folder", setup: func(t *testing.T, n node.Node) { mkdir(t, n.Paths.Data) }},
		{name: "empty member folder", setup: func(t *testing.T, n node.Node) { mkdir(t, memberFolder(n.Paths.Data)) }},
		{name: "fresh file system", setup: func(t *testing.T, n node.Node) { mkdir(t, filepath.Join(n.Paths.Data, "lost+found")) }},
		{name: "write-ahead log", want: present, setup: func(t *testing.T, n node.Node) { makeWAL(t, n.Paths.Data, memberA, clusterC) }},
		{name: "leftovers of a first start", setup: func(t *testing.T, n node.Node) {
			write(t, filepath.Join(memberFolder(n.Paths.Data), firstStartFile), []byte(token))
			write(t, filepath.Join(memberFolder(n.Paths.Data), "snap", "db"), nil)
			write(t, filepath.Join(memberFolder(n.Paths.Data), "wal.tmp", "0.wal"), nil)
			write(t, filepath.Join(memberFolder(n.Paths.Data), ".touch"), nil)
			write(t, filepath.Join(n.Paths.Data, ".touch"), nil)
		}},
		{name: "database without log", says: []string{"holds member/snap but no write-ahead log"}, setup: func(t *testing.T, n node.Node) {
			write(t, filepath.Join(memberFolder(n.Paths.Data), "snap", "db"), nil)
		}},
		{name: "log folder without segments", says: []string{"holds member/wal but"}, setup: func(t *testing.T, n node.Node) {
			write(t, filepath.Join(memberFolder(n.Paths.Data), firstStartFile), []byte(token))
			mkdir(t, walFolder(n.Paths.Data))
		}},
		{name: "somebody's files", says: []string{"holds photos, proxy but"}, setup: func(t *testing.T, n node.Node) {
			mkdir(t, filepath.Join(n.Paths.Data, "photos"))
			mkdir(t, filepath.Join(n.Paths.Data, "proxy"))
		}},
		{name: "a file for a folder", says: []string{"not a directory"}, setup: func(t *testing.T, n node.Node) { write(t, n.Paths.Data, nil) }},
		{name: "empty segment", says: []string{"0000000000000000-0000000000000000.wal", "decode its head"}, setup: func(t *testing.T, n node.Node) {
			write(t, filepath.Join(walFolder(n.Paths.Data), "0000000000000000-0000000000000000.wal"), nil)
		}},
		{name: "log without IDs", says: []string{"names no member and cluster"}, setup: func(t *testing.T, n node.Node) { makeWAL(t, n.Paths.Data, 0, 0) }},
		{name: "corrupt born file", says: []string{cluster.BornFile}, setup: func(t *testing.T, n node.Node) {
			makeWAL(t, n.Paths.Data, memberA, clusterC)
			write(t, bornPath(n.Paths.Data), []byte(`{"version": 1, "tok`))
		}},
		{name: "born file of a newer pleiad", says: []string{cluster.BornFile, "version 2", "version 1"}, setup: func(t *testing.T, n node.Node) {
			write(t, bornPath(n.Paths.Data), []byte(`{"version": 2}`))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := testNode(t)
			tt.setup(t, n)
			got, err := readData(n.Paths.Data)
			if (err != nil) != (tt.says != nil) {
				t.Fatalf("error %v, want one: %t", err, tt.says != nil)
			}
			for _, s := range tt.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("error %q does not say %q", err, s)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

// However long the log is and whatever is wrong in it, its head tells the IDs.
func TestOnlyTheHeadOfALogIsRead(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	makeWAL(t, n.Paths.Data, memberA, clusterC, make([]byte, 4096))
	f, err := os.OpenFile(segments(t, n.Paths.Data)[0], os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(strings.Repeat("garbage!", 512)), 1024); err != nil {
		t.Fatal(err)
	}
	want := identifiers{memberA, clusterC}
	if got, err := readIDs(walFolder(n.Paths.Data)); err != nil || got != want {
		t.Errorf("readIDs = %v, %v, want %v", got, err, want)
	}
	if _, err := f.WriteAt([]byte("garbage!"), 20); err != nil {
		t.Fatal(err)
	}
	if got, err := readIDs(walFolder(n.Paths.Data)); err == nil {
		t.Errorf("readIDs with a corrupt head = %v, want an error", got)
	}
}

// etcd removes old segments; the first one left then begins with the checksum
// of its predecessor.
func TestFirstSegmentIsNotTheOldest(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	makeWAL(t, n.Paths.Data, memberA, clusterC, make([]byte, 1<<20)) // more than a segment and its buffer
	all := segments(t, n.Paths.Data)
	if len(all) != 2 {
		t.Fatalf("segments %v, want two", all)
	}
	if err := os.Remove(all[0]); err != nil {
		t.Fatal(err)
	}
	want := identifiers{memberA, clusterC}
	if got, err := readIDs(walFolder(n.Paths.Data)); err != nil || got != want {
		t.Errorf("readIDs = %v, %v, want %v", got, err, want)
	}
}

// Each row of the table in the package comment: the step a crash came after,
// and what became of the data directory before the next start.
func TestCrashPoints(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	steps := []func(t *testing.T, n node.Node){
		func(t *testing.T, n node.Node) { // 1 begin, cut short before its second file
			if err := beginFirstStart(n, at); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(bornPath(n.Paths.Data)); err != nil {
				t.Fatal(err)
			}
		},
		func(t *testing.T, n node.Node) { // 2 begin
			if err := beginFirstStart(n, at); err != nil {
				t.Fatal(err)
			}
		},
		func(t *testing.T, n node.Node) { makeWAL(t, n.Paths.Data, n.Member, n.ID) }, // 3 etcd
		func(t *testing.T, n node.Node) { // 4 born
			if err := setBorn(n, at); err != nil {
				t.Fatal(err)
			}
		},
	}
	emptied := func(t *testing.T, dataDir string) {
		if err := os.RemoveAll(dataDir); err != nil {
			t.Fatal(err)
		}
		mkdir(t, dataDir)
	}
	exchanged := func(t *testing.T, dataDir string) {
		emptied(t, dataDir)
		write(t, filepath.Join(memberFolder(dataDir), firstStartFile), []byte("another incarnation"))
	}
	kept := func(*testing.T, string) {}
	for _, tt := range []struct {
		step int
		then func(*testing.T, string)
		name string
		want Decision
	}{
		{0, kept, "0 kept", FirstStart}, {0, emptied, "0 emptied", FirstStart},
		{1, kept, "1 kept", FirstStart}, {1, emptied, "1 emptied", FirstStart},
		{2, kept, "2 kept", FirstStart}, {2, emptied, "2 emptied", Refuse}, {2, exchanged, "2 exchanged", Refuse},
		{3, kept, "3 kept", Restart}, {3, emptied, "3 emptied", Refuse}, {3, exchanged, "3 exchanged", Refuse},
		{4, kept, "4 kept", Restart}, {4, emptied, "4 emptied", Refuse}, {4, exchanged, "4 exchanged", Refuse},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := testNode(t)
			for _, step := range steps[:tt.step] {
				step(t, n)
			}
			tt.then(t, n.Paths.Data)
			found, err := readData(n.Paths.Data)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Identity(n, found); got != tt.want {
				t.Errorf("decision %d (%v) from %+v, want %d", got, err, found, tt.want)
			}
		})
	}
}

func TestBeginIsTakenUpAsItIs(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	first := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for i := range 3 {
		if err := beginFirstStart(n, first.Add(time.Duration(i)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	makeWAL(t, n.Paths.Data, n.Member, n.ID)
	for i := range 2 {
		if err := setBorn(n, first.Add(time.Duration(10+i)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readBorn(n.Paths.Data)
	if err != nil {
		t.Fatal(err)
	}
	want := &Born{Version: 1, Token: token, Name: "etcd-a", Member: memberA, Cluster: clusterC, Begun: first, At: first.Add(10 * time.Hour)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The birth is noted as soon as there is a log, and tried again while it
// cannot be.
func TestAwaitBirth(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	if err := beginFirstStart(n, time.Now()); err != nil {
		t.Fatal(err)
	}
	obstacle := filepath.Join(bornPath(n.Paths.Data)+".new", "in the way")
	write(t, obstacle, nil)
	reports, done := make(chan error, 10), make(chan struct{})
	go func() {
		defer close(done)
		awaitBirth(t.Context(), n, func(err error) { reports <- err })
	}()
	makeWAL(t, n.Paths.Data, n.Member, n.ID)
	if err := <-reports; !strings.Contains(err.Error(), "note that the member has data") {
		t.Errorf("reported %v", err)
	}
	if err := os.RemoveAll(filepath.Dir(obstacle)); err != nil {
		t.Fatal(err)
	}
	<-done
	if b, err := readBorn(n.Paths.Data); err != nil || b.At.IsZero() {
		t.Errorf("born file %+v, %v after the wait", b, err)
	}
	if len(reports) != 0 {
		t.Errorf("reported again: %v", <-reports)
	}
}

func FuzzDecodeBorn(f *testing.F) {
	f.Add(encode(Born{Version: 1, Token: token, Name: "etcd-a", Member: memberA, Cluster: clusterC, Begun: time.Unix(1, 0).UTC()}))
	f.Add([]byte(`{"version": 1, "token": "x", "at": "2026"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := DecodeBorn(b)
		if err != nil {
			return
		}
		again, err := DecodeBorn(encode(v))
		if err != nil || !cmp.Equal(v, again) {
			t.Errorf("%+v comes back as %+v, %v", v, again, err)
		}
	})
}

func FuzzReadHead(f *testing.F) {
	f.Add([]byte("not a log"))
	f.Add(make([]byte, 1024))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "segment")
		write(t, path, b)
		if ids, err := readHead(path); err == nil && (ids.member == 0 || ids.cluster == 0) {
			t.Errorf("IDs %v without an error", ids)
		}
	})
}

// Whoever looks beside a first start sees nothing yet, never leftovers: its file is
// what explains them, wherever it is in its work.
func TestReadDataBesideAFirstStart(t *testing.T) {
	t.Parallel()
	for range 100 {
		n := testNode(t)
		begun := make(chan error, 1)
		go func() { begun <- beginFirstStart(n, time.Now()) }()
		for going := true; going; {
			select {
			case err := <-begun:
				if err != nil {
					t.Fatal(err)
				}
				going = false
			default:
			}
			if d, err := readData(n.Paths.Data); err != nil || d != (cluster.Data{}) {
				t.Fatalf("beside a first start: %+v, %v, want nothing", d, err)
			}
		}
	}
}
