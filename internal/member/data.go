package member

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/datadir"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"google.golang.org/protobuf/proto"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

func memberFolder(dataDir string) string { return datadir.ToMemberDir(dataDir) }
func walFolder(dataDir string) string    { return datadir.ToWALDir(dataDir) }

// readData says what a data directory holds and once held. It changes nothing
// and may run beside a starting member: the born file is read first, because a
// first start writes the first-start file before it.
//
// An error means unknown, never absent: a file that cannot be read, a
// write-ahead log without a readable head, or files without a write-ahead log
// that no first start of ours left there.
func readData(dataDir string) (cluster.Data, error) {
	born, err := readBorn(dataDir)
	if err != nil {
		return cluster.Data{}, err
	}
	ids, err := readIDs(walFolder(dataDir))
	if err == nil {
		return cluster.Data{Present: true, Born: born != nil, Member: ids.member, Cluster: ids.cluster}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return cluster.Data{}, err
	}
	begun, err := firstStartToken(dataDir)
	if err != nil {
		return cluster.Data{}, err
	}
	if err := checkLeftovers(dataDir, begun != ""); err != nil {
		// Or has a first start just renamed its log into place?
		if ids, again := readIDs(walFolder(dataDir)); again == nil {
			return cluster.Data{Present: true, Born: born != nil, Member: ids.member, Cluster: ids.cluster}, nil
		}
		return cluster.Data{}, err
	}
	return cluster.Data{Born: once(born, begun)}, nil
}

// once says whether a member without a write-ahead log once had one: it was
// seen, or etcd was let go and its data directory is no longer the one it got.
func once(born *Born, begun cluster.Token) bool {
	return born != nil && (!born.At.IsZero() || born.Token != begun)
}

// firstStartToken is the token in the first-start file, empty if there is none.
func firstStartToken(dataDir string) (cluster.Token, error) {
	b, err := os.ReadFile(filepath.Join(memberFolder(dataDir), firstStartFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read data directory: %w", err)
	}
	return cluster.Token(strings.TrimSpace(string(b))), nil
}

// checkLeftovers finds files that stand where a write-ahead log is missing and
// that no first start explains. A first start that was killed leaves an empty
// database in member/snap and a half-made log in member/wal.tmp; etcd takes up
// the first and removes the second. It tries folders by a file .touch (etcd
// client/pkg/fileutil, IsDirWriteable). A disk of its own brings lost+found.
func checkLeftovers(dataDir string, begun bool) error {
	top, err := names(dataDir)
	if err != nil {
		return err
	}
	inner, err := names(memberFolder(dataDir))
	if err != nil {
		return err
	}
	explained := []string{"member", "lost+found"}
	explainedInner := []string{firstStartFile + ".new"} // of a first start that was cut short before etcd
	if begun {
		explained = append(explained, ".touch")
		explainedInner = append(explainedInner, firstStartFile, "snap", "wal.tmp", ".touch")
	}
	left := slices.DeleteFunc(top, func(s string) bool { return slices.Contains(explained, s) })
	for _, name := range inner {
		if !slices.Contains(explainedInner, name) {
			left = append(left, filepath.Join("member", name))
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("data directory %s holds %s but no write-ahead log; move it away if nobody needs it", dataDir, strings.Join(left, ", "))
	}
	return nil
}

// names are the sorted names in a folder; none if it does not exist.
func names(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read data directory: %w", err)
	}
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.Name()
	}
	return out, nil
}

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
		all, err := names(folder)
		if err != nil {
			return identifiers{}, err
		}
		segments := slices.DeleteFunc(all, func(s string) bool { return filepath.Ext(s) != ".wal" })
		if len(segments) == 0 {
			return identifiers{}, fs.ErrNotExist
		}
		path := filepath.Join(folder, segments[0])
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
	f, err := os.Open(path)
	if err != nil {
		return identifiers{}, err
	}
	defer f.Close()
	decoder := wal.NewDecoder(fileutil.NewFileReader(f))
	var rec walpb.Record
	for range 2 {
		if err := decoder.Decode(&rec); err != nil {
			return identifiers{}, fmt.Errorf("decode its head: %w", err)
		}
		switch rec.GetType() {
		case wal.CrcType:
			decoder.UpdateCRC(rec.GetCrc())
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
