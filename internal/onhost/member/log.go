package member

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// place is where one record of a write-ahead log lies. etcd only ever appends to
// the log and removes whole segments from its beginning. Each record's checksum
// covers all records before it, so that a record with the right one at its place
// proves that the log up to it is the same.
type place struct {
	Segment string `json:"segment"` // the name of its file
	Offset  int64  `json:"offset"`
	// Seed is the checksum of all records before it, Sum the one with it.
	Seed uint32 `json:"seed"`
	Sum  uint32 `json:"sum"`
}

// Limits on what is read of a log, in bytes.
const (
	// headLimit is more than the two records that begin each segment take.
	headLimit = 64 << 10
	// recordLimit is the size of the largest record that a mark is put on;
	// larger ones are followed by small ones.
	recordLimit = 1 << 20
	// segmentLimit is more than etcd lets a segment grow to (64 MB and one
	// write), for reading the end of a log that is not our own.
	segmentLimit = 80 << 20
)

// trail follows a write-ahead log to its end, over many calls and beside an etcd
// that appends to it.
type trail struct {
	next  place         // of the record to be read next
	last  place         // of the last record that was read and may be marked
	reach cluster.Reach // up to there
	limit int64         // of what is read of one segment at a time
}

// segmentsOf are the sorted names of a log's files; the order is that in which
// they were written.
func segmentsOf(folder string) ([]string, error) {
	return names(folder, untrusted.Many, func(s string) bool { return filepath.Ext(s) == ".wal" })
}

// follow reads on to the end. A record that is not whole is the end: it is being
// written, or was when the machine went down, and etcd will write over it.
func (t *trail) follow(folder string) error {
	// Before the current segment is read to its end: etcd completes a segment
	// before the next one gets its name.
	all, err := segmentsOf(folder)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return nil
	}
	if t.next.Segment == "" {
		t.begin(all[len(all)-1])
	}
	for {
		err := t.read(filepath.Join(folder, t.next.Segment))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // etcd removes old segments
			return fmt.Errorf("read write-ahead log: %w", err)
		}
		i, found := slices.BinarySearch(all, t.next.Segment)
		if found {
			i++
		}
		if i >= len(all) {
			return nil
		}
		t.begin(all[i])
	}
}

// begin goes to the beginning of a segment, which is named after its sequence
// number and the index of the first entry in it (etcd
// server/storage/wal/util.go, walName).
func (t *trail) begin(segment string) {
	t.next = place{Segment: segment}
	var seq, index uint64
	if _, err := fmt.Sscanf(segment, "%016x-%016x.wal", &seq, &index); err == nil && index > 0 {
		t.reach.Index = max(t.reach.Index, index-1)
	}
}

// read reads the rest of one segment.
func (t *trail) read(path string) error {
	f, err := untrusted.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := decoder(f, t.next, t.limit)
	if err != nil {
		return err
	}
	begin := t.next.Offset
	for {
		here := t.next
		var rec walpb.Record
		if d.Decode(&rec) != nil {
			return nil
		}
		if rec.GetType() == wal.CrcType {
			d.UpdateCRC(rec.GetCrc())
		}
		t.next.Offset, t.next.Seed = begin+d.LastOffset(), d.LastCRC()
		t.note(&rec)
		here.Sum = t.next.Seed
		if rec.GetType() != wal.CrcType && t.next.Offset-here.Offset <= recordLimit {
			t.last = here
		}
	}
}

// note keeps how far the log goes with this record.
func (t *trail) note(rec *walpb.Record) {
	switch rec.GetType() {
	case wal.EntryType:
		var e raftpb.Entry
		if proto.Unmarshal(rec.GetData(), &e) == nil {
			t.reach = cluster.Reach{Term: max(t.reach.Term, e.GetTerm()), Index: e.GetIndex()}
		}
	case wal.StateType:
		var s raftpb.HardState
		if proto.Unmarshal(rec.GetData(), &s) == nil {
			t.reach.Term, t.reach.Index = max(t.reach.Term, s.GetTerm()), max(t.reach.Index, s.GetCommit())
		}
	case wal.SnapshotType:
		var s walpb.Snapshot
		if proto.Unmarshal(rec.GetData(), &s) == nil {
			t.reach.Term, t.reach.Index = max(t.reach.Term, s.GetTerm()), max(t.reach.Index, s.GetIndex())
		}
	}
}

// holds says whether a log has a record at a place, with the history that it had
// when it was marked. Segments that etcd has removed are held by those after
// them.
func holds(folder string, at place) (bool, error) {
	for range 2 {
		all, err := segmentsOf(folder)
		if err != nil {
			return false, err
		}
		if len(all) == 0 || all[len(all)-1] < at.Segment {
			return false, nil
		}
		if all[0] > at.Segment {
			return true, nil
		}
		if !slices.Contains(all, at.Segment) {
			return false, nil
		}
		ok, err := hasRecord(filepath.Join(folder, at.Segment), at)
		if !errors.Is(err, fs.ErrNotExist) { // or etcd has just removed it
			return ok, err
		}
	}
	return false, fmt.Errorf("read write-ahead log: %s changes while it is read", folder)
}

func hasRecord(path string, at place) (bool, error) {
	f, err := untrusted.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	d, err := decoder(f, at, recordLimit)
	if err != nil {
		return false, err
	}
	var rec walpb.Record
	return d.Decode(&rec) == nil && rec.GetType() != wal.CrcType && d.LastCRC() == at.Sum, nil
}

// decoder decodes a segment from a place on, at most limit bytes of it.
func decoder(f *os.File, at place, limit int64) (wal.Decoder, error) {
	if _, err := f.Seek(at.Offset, io.SeekStart); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	d := wal.NewDecoder(part{io.LimitReader(f, limit), rest{info, min(limit, max(0, info.Size()-at.Offset))}})
	d.UpdateCRC(at.Seed)
	return d, nil
}

// part is what is read of a file. etcd's decoder takes no record to be larger
// than the file that it is in.
type part struct {
	io.Reader
	info rest
}

// FileInfo implements fileutil.FileReader.
func (p part) FileInfo() (fs.FileInfo, error) { return p.info, nil }

var _ fileutil.FileReader = part{}

type rest struct {
	fs.FileInfo
	size int64
}

// Size implements fs.FileInfo.
func (r rest) Size() int64 { return r.size }

// identifiers are what etcd writes at the head of every segment.
type identifiers struct {
	member  cluster.MemberID
	cluster cluster.ID
}

// readIDs reads the IDs at the head of the first segment of a write-ahead log;
// nothing behind the head is read, however long the log is. The error is
// fs.ErrNotExist if there is no segment.
//
// A running etcd removes its oldest segment now and then; if that hits the one
// just chosen, the next one is read.
func readIDs(folder string) (identifiers, error) {
	var gone string
	for {
		all, err := segmentsOf(folder)
		if err != nil {
			return identifiers{}, err
		}
		if len(all) == 0 {
			return identifiers{}, fs.ErrNotExist
		}
		path := filepath.Join(folder, all[0])
		ids, err := readHead(path)
		if errors.Is(err, fs.ErrNotExist) && path != gone {
			gone = path
			continue
		}
		if err != nil {
			return identifiers{}, fmt.Errorf("read write-ahead log %s: %w", path, err)
		}
		return ids, nil
	}
}

// readHead decodes the two records that begin every segment, the checksum of
// the segment before it and the metadata (etcd server/storage/wal/wal.go,
// Create and cut).
func readHead(path string) (identifiers, error) {
	f, err := untrusted.Open(path)
	if err != nil {
		return identifiers{}, err
	}
	defer f.Close()
	d, err := decoder(f, place{}, headLimit)
	if err != nil {
		return identifiers{}, err
	}
	var rec walpb.Record
	for range 2 {
		if err := d.Decode(&rec); err != nil {
			return identifiers{}, fmt.Errorf("decode its head: %w", err)
		}
		switch rec.GetType() {
		case wal.CrcType:
			d.UpdateCRC(rec.GetCrc())
		case wal.MetadataType:
			var m etcdserverpb.Metadata
			if err := proto.Unmarshal(rec.GetData(), &m); err != nil {
				return identifiers{}, fmt.Errorf("decode its metadata: %w", err)
			}
			if m.GetNodeID() == 0 || m.GetClusterID() == 0 {
				return identifiers{}, errors.New("its metadata names no member and cluster")
			}
			return identifiers{cluster.MemberID(m.GetNodeID()), cluster.ID(m.GetClusterID())}, nil
		}
	}
	return identifiers{}, errors.New("it does not begin with metadata")
}
