package member

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// MarkVersion is the version of the mark file that we write and read.
const MarkVersion = 1

// Mark is stored as JSON in [cluster.MarkFile]; the package comment says why. It only
// ever names a record that was on the disk before the mark was.
type Mark struct {
	Version int              `json:"version"`
	Member  cluster.MemberID `json:"member"`
	Cluster cluster.ID       `json:"cluster"`
	// Place is that of the record, Reach how far the log goes with it.
	Place place         `json:"place"`
	Reach cluster.Reach `json:"reach"`
	At    time.Time     `json:"at"`
}

// DecodeMark reads a mark file. The error is for the caller to complete with the
// file's path.
func DecodeMark(b []byte) (Mark, error) {
	var m Mark
	if err := json.Unmarshal(b, &m); err != nil {
		return Mark{}, err
	}
	if m.Version != MarkVersion {
		return Mark{}, fmt.Errorf("version %d, this pleiad reads version %d", m.Version, MarkVersion)
	}
	if m.Place.Segment != filepath.Base(m.Place.Segment) || m.Place.Offset < 0 {
		return Mark{}, fmt.Errorf("no record of a log can be at %d in %q", m.Place.Offset, m.Place.Segment)
	}
	return m, nil
}

func markPath(dataDir string) string { return cluster.Paths{Data: dataDir}.Mark() }

// readMark is the mark file beside a data directory, or nil if there is none.
func readMark(dataDir string) (*Mark, error) {
	b, err := untrusted.Read(markPath(dataDir), untrusted.Small)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read mark file: %w", err)
	}
	m, err := DecodeMark(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w; nothing else says whether this data is the newest: if it is, or if no other member has newer data, remove that file", markPath(dataDir), err)
	}
	return &m, nil
}

// compare says whether a log is older than its mark, and how far the two go. A
// mark of another member says nothing about it.
func (m *Mark) compare(folder string, ids identifiers) (older bool, reached, ends cluster.Reach, err error) {
	if m == nil || m.Member != ids.member || m.Cluster != ids.cluster {
		return false, reached, ends, nil
	}
	held, err := holds(folder, m.Place)
	if err != nil || held {
		return false, reached, ends, err
	}
	t := trail{limit: segmentLimit}
	if err := t.follow(folder); err != nil {
		return false, reached, ends, err
	}
	return true, m.Reach, t.reach, nil
}

const (
	// markEvery is how often the mark is brought up to date while the member
	// writes: two small files synced, beside the many times that etcd syncs its
	// log in that time. What is written after the last time and before a crash
	// is not known to be missing from older data, so this is short. Nothing is
	// written for a member at rest.
	markEvery = 200 * time.Millisecond
	// settleRound is the round of the mark before which etcd has begun: a second.
	settleRound = 5
	// watchPoll is how often a second process looks whether the first one runs.
	watchPoll = 50 * time.Millisecond
)

// marking keeps the mark of one member. It is safe for concurrent use.
type marking struct {
	node  node.Node
	mu    sync.Mutex // guards what follows
	trail trail
	noted place
}

// newMarking goes on from the mark that is there, if it is this member's.
func newMarking(n node.Node) (*marking, error) {
	m := &marking{node: n, trail: trail{limit: segmentLimit}}
	old, err := readMark(n.Paths.Data)
	if err == nil && old != nil && old.Member == n.Member && old.Cluster == n.ID {
		m.trail.next, m.trail.last, m.trail.reach, m.noted = old.Place, old.Place, old.Reach, old.Place
	}
	return m, err
}

// advance brings the mark up to date. The order keeps the mark behind the data
// even if it is interrupted: first what was read of the log is synced, and the
// name of its segment, then the mark is replaced atomically.
func (m *marking) advance(now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	folder := walFolder(m.node.Paths.Data)
	if err := m.trail.follow(folder); err != nil {
		return fmt.Errorf("mark how far the log goes: %w", err)
	}
	at := m.trail.last
	if at == m.noted {
		return nil
	}
	err := syncFile(filepath.Join(folder, at.Segment))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // etcd has just removed the segment: there are newer ones
	}
	if err == nil && at.Segment != m.noted.Segment {
		err = durable.SyncFolders(folder)
	}
	if err == nil {
		v := Mark{Version: MarkVersion, Member: m.node.Member, Cluster: m.node.ID, Place: at, Reach: m.trail.reach, At: now.UTC()}
		_, err = durable.Replace(durable.Private(markPath(m.node.Paths.Data), encode(v)))
	}
	if err != nil {
		return fmt.Errorf("mark how far the log goes: %w", err)
	}
	m.noted = at
	return nil
}

// syncFile waits until what a file holds is on the disk, whoever wrote it.
// Windows does that only through a handle that may write.
func syncFile(path string) error {
	f, err := untrusted.Existing(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// keep brings the mark up to date again and again until ctx ends, and calls
// settled once, before [settleRound]. What goes wrong (disk full) is
// reported once and tried again: good data must not be kept from serving for it.
func (m *marking) keep(ctx context.Context, report func(error), settled func()) {
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	reported := false
	for round := 0; ctx.Err() == nil; round++ {
		if round == settleRound {
			settled()
		}
		if err := m.advance(time.Now()); err != nil && !reported {
			report(err)
			reported = true
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// Watch is the second process of a member that runs the etcd of another program,
// which takes the place of the first one: it notes the birth of the data and
// keeps the mark for as long as the first process, its parent, runs, and once
// more when that has ended.
//
// Signals for the whole group of processes end the first one, not this one.
func Watch(ctx context.Context, configDir string, parent int, stderr io.Writer) error {
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	log := logger{w: stderr}
	report := func(err error) { log.line("error", err.Error()) }
	n, err := readNode(configDir)
	if err != nil {
		return err
	}
	m, err := newMarking(n)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		awaitBirth(ctx, n, report)
		m.keep(ctx, report, func() {})
	}()
	tick := time.NewTicker(watchPoll)
	defer tick.Stop()
	for os.Getppid() == parent && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	cancel()
	<-done
	err = m.advance(time.Now())
	if err != nil {
		report(err)
	}
	return err
}
