package member

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// growing is the log of a member that writes, as etcd keeps it.
type growing struct {
	testing.TB
	*wal.WAL
	node  node.Node
	index uint64
	state *raftpb.HardState
}

// newLog begins a log, or goes on with the one that is there.
func newLog(t testing.TB, n node.Node) *growing {
	t.Helper()
	folder := walFolder(n.Paths.Data)
	g := &growing{TB: t, node: n, state: &raftpb.HardState{Term: new(uint64(1)), Commit: new(uint64(0))}}
	var err error
	if wal.Exist(folder) {
		var old []*raftpb.Entry
		if g.WAL, err = wal.Open(nil, folder, &walpb.Snapshot{Index: new(uint64(0)), Term: new(uint64(0))}); err == nil {
			_, g.state, old, err = g.ReadAll()
			g.state.Term = new(max(g.state.GetTerm(), 1))
			g.index = uint64(len(old))
		}
	} else {
		meta, wrong := proto.Marshal(&etcdserverpb.Metadata{NodeID: new(uint64(n.Member)), ClusterID: new(uint64(n.ID))})
		if wrong != nil {
			t.Fatal(wrong)
		}
		g.WAL, err = wal.Create(nil, folder, meta)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// write appends entries of some size.
func (g *growing) write(entries, size int) {
	g.Helper()
	for range entries {
		g.index++
		g.state = &raftpb.HardState{Term: g.state.Term, Commit: new(g.index - 1)}
		e := &raftpb.Entry{Index: new(g.index), Term: g.state.Term, Data: make([]byte, size)}
		if err := g.Save(g.state, []*raftpb.Entry{e}); err != nil {
			g.Fatal(err)
		}
	}
}

func (g *growing) close() {
	g.Helper()
	if err := g.Close(); err != nil {
		g.Fatal(err)
	}
	unlocked(g, g.node.Paths.Data)
}

func advanced(t *testing.T, m *marking) Mark {
	t.Helper()
	if err := m.advance(time.Now()); err != nil {
		t.Fatal(err)
	}
	return marked(t, m.node)
}

func marked(t *testing.T, n node.Node) Mark {
	t.Helper()
	m, err := readMark(n.Paths.Data)
	if err != nil || m == nil {
		t.Fatalf("mark is %v, %v", m, err)
	}
	return *m
}

func newMarks(t *testing.T, n node.Node) *marking {
	t.Helper()
	m, err := newMarking(n)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// save keeps a copy of a data directory, restore puts it in the place of what is
// there.
func save(t *testing.T, n node.Node) (restore func()) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(copied, os.DirFS(n.Paths.Data)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.RemoveAll(n.Paths.Data); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(n.Paths.Data, os.DirFS(copied)); err != nil {
			t.Fatal(err)
		}
	}
}

func wantData(t *testing.T, when string, n node.Node, older bool) cluster.Data {
	t.Helper()
	got, err := readData(n.Paths.Data)
	if err != nil || !got.Present || got.Older != older {
		t.Errorf("%s: data is %+v, %v, want older: %t", when, got, err, older)
	}
	return got
}

// A former state of the data is told from the newest, however little is missing
// and wherever the log has got to meanwhile.
func TestOlderData(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		before, after int // entries
		size          int
	}{
		{"one entry", 5, 1, 10},
		{"ten entries", 5, 10, 10},
		{"from nothing", 0, 1, 10},
		{"another segment", 5, 20, 10 << 10},
		{"many segments", 20, 50, 10 << 10},
		{"a large entry", 5, 1, 2 << 20}, // marked by what follows it
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := testNode(t)
			g := newLog(t, n)
			m := newMarks(t, n)
			g.write(tt.before, tt.size)
			first := advanced(t, m)
			g.close()
			old := save(t, n)
			wantData(t, "saved", n, false)
			g = newLog(t, n)
			g.write(tt.after, tt.size)
			if got := marked(t, n); got != first {
				t.Errorf("mark moves by itself from %+v to %+v", first, got)
			}
			wantData(t, "grown", n, false)
			mark := advanced(t, m)
			if want := uint64(tt.before + tt.after); mark.Reach.Index != want || mark.Reach.Term != 1 {
				t.Errorf("mark is at %s, want index %d", mark.Reach, want)
			}
			g.close()
			newest := save(t, n)
			old()
			got := wantData(t, "rolled back", n, true)
			if got.Reached != mark.Reach || got.Ends.Index != uint64(tt.before) {
				t.Errorf("evidence is %s of %s, want index %d of %s", got.Ends, got.Reached, tt.before, mark.Reach)
			}
			if _, err := Identity(n, got); err == nil || !strings.Contains(err.Error(), "R6") || !strings.Contains(err.Error(), mark.Reach.String()) {
				t.Errorf("Identity: %v, want a refusal by R6 that names %s", err, mark.Reach)
			}
			// The remedy that is printed.
			newest()
			wantData(t, "newest data back", n, false)
			// The other one: the data is taken as it is.
			old()
			if _, err := Identity(n, got); err == nil || !strings.Contains(err.Error(), "remove "+markPath(n.Paths.Data)) || !strings.Contains(err.Error(), got.Ends.String()) {
				t.Errorf("Identity: %v, want the way out that loses what comes after %s", err, got.Ends)
			}
			kept, err := os.ReadFile(markPath(n.Paths.Data))
			if err == nil {
				err = os.Remove(markPath(n.Paths.Data))
			}
			if err != nil {
				t.Fatal(err)
			}
			accepted := wantData(t, "mark removed", n, false)
			if got, err := Identity(n, accepted); n.Sealed && (err != nil || got != Restart) {
				t.Errorf("Identity without the mark: %v, %v, want Restart", got, err)
			}
			write(t, markPath(n.Paths.Data), kept)
			// Written on without us, it is another history, and no nearer.
			old()
			g = newLog(t, n)
			g.state.Term = new(uint64(2))
			g.write(tt.after+5, tt.size)
			g.close()
			wantData(t, "another history", n, true)
		})
	}
}

// With a real etcd: the mark follows it, and a former state of the data is
// refused until the newest is back.
func TestOlderDataIsNotStarted(t *testing.T) {
	t.Parallel()
	h := newHost(t, "etcd-a")
	dns := newNameServer(t, publish([]cluster.Host{h})...)
	n := render(cluster.Bootstrapping, dns.addr, h)
	install(t, n)
	stop := func(m *running, index uint64) {
		t.Helper()
		until(t, "health", m.healthy)
		until(t, "a mark", func() bool {
			m, err := readMark(n.Paths.Data)
			return err == nil && m != nil && m.Reach.Index > index
		})
		m.signal(syscall.SIGTERM)
		m.ended()
	}
	stop(launch(t, n), 0)
	old, first := save(t, n), advanced(t, newMarks(t, n))
	stop(launch(t, n), first.Reach.Index) // the start alone writes: a term, the member's attributes
	newest, last := save(t, n), marked(t, n)
	old()
	refused(t, n, "R6: its data is not the newest", "ends at "+first.Reach.String(), "got to "+last.Reach.String())
	newest()
	until(t, "health with the newest data", launch(t, n).healthy)
}

// The mark goes on from where a former process left it, in whatever segment.
func TestMarkIsContinued(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	for i := range 10 {
		g := newLog(t, n)
		g.write(7, 5<<10)
		g.close()
		if got := advanced(t, newMarks(t, n)).Reach; got != (cluster.Reach{Term: 1, Index: uint64(7 * (i + 1))}) {
			t.Fatalf("mark %d is at %s, want index %d", i, got, 7*(i+1))
		}
		wantData(t, fmt.Sprint("life ", i), n, false)
	}
	if found := segments(t, n.Paths.Data); len(found) < 3 {
		t.Fatalf("the log has segments %v, want some", found)
	}
	// etcd removes what it needs no more; the rest holds the mark all the same.
	if err := os.Remove(segments(t, n.Paths.Data)[0]); err != nil {
		t.Fatal(err)
	}
	wantData(t, "oldest segment removed", n, false)
}

// A member that keeps all segments of its log starts, however many there are.
func TestLogOfManySegments(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	g := newLog(t, n)
	g.write(3, 10)
	g.close()
	m := newMarks(t, n)
	advanced(t, m)
	for i := range untrusted.Few + 1 {
		write(t, filepath.Join(walFolder(n.Paths.Data), fmt.Sprintf("%016x-%016x.wal", i+1, i+4)), nil)
	}
	wantData(t, "many segments", n, false)
	if got := advanced(t, newMarks(t, n)).Reach.Index; got < 3 {
		t.Errorf("mark is at index %d, want at least 3", got)
	}
}

// Wherever the end of the log is torn or what a power cut leaves of it: the mark
// never names what was not synced, so that the data is never refused for it.
func TestMarkStaysBehindTheDisk(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	g := newLog(t, n)
	g.write(20, 300)
	g.close()
	path := segments(t, n.Paths.Data)[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(whole) - 1; cut > 0; cut -= 331 {
		if err := os.Remove(markPath(n.Paths.Data)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		torn := make([]byte, len(whole)) // preallocated
		copy(torn, whole[:cut])
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		m := newMarks(t, n)
		if err := m.advance(time.Now()); err != nil {
			t.Fatal(err)
		}
		if mark, err := readMark(n.Paths.Data); err != nil || mark != nil && mark.Place.Offset >= int64(cut) {
			t.Fatalf("cut at %d: mark is %+v, %v", cut, mark, err)
		}
		if got, err := readData(n.Paths.Data); err == nil && got.Older {
			t.Fatalf("cut at %d: %+v, want what is there to be the newest", cut, got)
		}
		// A process that follows the log from here sees the rest when it is there.
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := advanced(t, m).Reach.Index; got != 20 {
			t.Fatalf("cut at %d: mark follows to %d, want 20", cut, got)
		}
	}
}

// A mark that cannot be understood makes the data unknown; one of another member
// says nothing about it.
func TestMarkFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(*Mark)
		says string
	}{
		{"newer version", func(m *Mark) { m.Version = 2 }, "version 2"},
		{"path for a segment", func(m *Mark) { m.Place.Segment = "../../x.wal" }, "../../x.wal"},
		{"negative offset", func(m *Mark) { m.Place.Offset = -1 }, "-1"},
		{"another member's", func(m *Mark) { m.Member++; m.Place.Offset = 1 << 30 }, ""},
		{"another cluster's", func(m *Mark) { m.Cluster++; m.Place.Offset = 1 << 30 }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := testNode(t)
			g := newLog(t, n)
			g.write(3, 10)
			g.close()
			m := advanced(t, newMarks(t, n))
			tt.edit(&m)
			write(t, markPath(n.Paths.Data), encode(m))
			got, err := readData(n.Paths.Data)
			switch {
			case tt.says == "" && (err != nil || got.Older):
				t.Errorf("%+v, %v, want it left out of account", got, err)
			case tt.says != "" && (err == nil || !strings.Contains(err.Error(), cluster.MarkFile) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "remove that file")):
				t.Errorf("%+v, %v, want an error that names %s and %q, and a way out", got, err, cluster.MarkFile, tt.says)
			}
		})
	}
	for _, s := range []string{"", "{", `{"version":1,"place":{"segment":"a/b"}}`} {
		if _, err := DecodeMark([]byte(s)); err == nil {
			t.Errorf("DecodeMark(%q): nil, want an error", s)
		}
	}
}

// grow lets the log of a member grow by ten entries in place of another etcd.
func grow(dataDir string) {
	var m Mark
	b, err := os.ReadFile(markPath(dataDir))
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		fmt.Println("no mark before etcd:", err)
		return
	}
	n := node.Node{Member: m.Member, ID: m.Cluster, Paths: cluster.Paths{Data: dataDir}}
	g := newLog(panics{}, n)
	g.write(10, 10)
	g.close()
	fmt.Println("another etcd has written")
}

// panics is a test's report where there is no test.
type panics struct{ testing.TB }

func (panics) Helper()           {}
func (panics) Fatal(args ...any) { panic(fmt.Sprint(args...)) }
