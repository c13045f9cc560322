package member

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/etcd/server/v3/storage/datadir"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

func memberFolder(dataDir string) string { return datadir.ToMemberDir(dataDir) }
func walFolder(dataDir string) string    { return datadir.ToWALDir(dataDir) }

// readData says what a data directory holds and once held. It changes nothing
// and may run beside a starting member: the born file is read first, because a
// first start writes the first-start file before it, and so is the mark, because
// the log is always ahead of it. Names are read before the first-start file, which
// is there before whatever it explains.
//
// An error means unknown, never absent: a file that cannot be read, a
// write-ahead log without a readable head, or files without a write-ahead log
// that no first start of ours left there.
func readData(dataDir string) (cluster.Data, error) {
	born, err := readBorn(dataDir)
	if err != nil {
		return cluster.Data{}, err
	}
	mark, err := readMark(dataDir)
	if err != nil {
		return cluster.Data{}, err
	}
	found, err := readLog(dataDir, born, mark)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return found, err
	}
	begun, err := checkLeftovers(dataDir)
	if err != nil {
		// Or has a first start just renamed its log into place?
		if found, again := readLog(dataDir, born, mark); again == nil {
			return found, nil
		}
		return cluster.Data{}, err
	}
	return cluster.Data{Born: once(born, begun)}, nil
}

// readLog says whose a write-ahead log is, and whether it goes as far as its
// mark. The error is fs.ErrNotExist if there is none.
func readLog(dataDir string, born *Born, mark *Mark) (cluster.Data, error) {
	folder := walFolder(dataDir)
	ids, err := readIDs(folder)
	if err != nil {
		return cluster.Data{}, err
	}
	d := cluster.Data{Present: true, Born: born != nil, Member: ids.member, Cluster: ids.cluster}
	if d.Older, d.Reached, d.Ends, err = mark.compare(folder, ids); err != nil {
		return cluster.Data{}, err
	}
	return d, nil
}

// once says whether a member without a write-ahead log once had one: it was
// seen, or etcd was let go and its data directory is no longer the one it got.
func once(born *Born, begun cluster.Token) bool {
	return born != nil && (!born.At.IsZero() || born.Token != begun)
}

// firstStartToken is the token in the first-start file, empty if there is none.
func firstStartToken(dataDir string) (cluster.Token, error) {
	b, err := untrusted.Read(filepath.Join(memberFolder(dataDir), firstStartFile), untrusted.Small)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read data directory: %w", err)
	}
	return cluster.Token(strings.TrimSpace(string(b))), nil
}

// checkLeftovers finds files beside a missing write-ahead log that no first start
// explains, and returns the token of the first start that explains the others. A
// first start that was killed leaves an empty database in member/snap and a
// half-made log in member/wal.tmp; etcd takes up the first and removes the
// second. It tries folders by a file .touch (etcd client/pkg/fileutil,
// IsDirWriteable). A disk of its own brings lost+found.
func checkLeftovers(dataDir string) (begun cluster.Token, err error) {
	all := func(string) bool { return true }
	top, err := names(dataDir, untrusted.Few, all)
	if err != nil {
		return "", err
	}
	inner, err := names(memberFolder(dataDir), untrusted.Few, all)
	if err != nil {
		return "", err
	}
	if begun, err = firstStartToken(dataDir); err != nil {
		return "", err
	}
	explained := []string{"member", "lost+found"}
	explainedInner := []string{firstStartFile + ".new"} // of a first start that was cut short before etcd
	if begun != "" {
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
		return "", fmt.Errorf("data directory %s holds %s but no write-ahead log; move it away if nobody needs it", dataDir, strings.Join(left, ", "))
	}
	return begun, nil
}

// names are the sorted names in a folder that keep wants; none if it does not
// exist.
func names(folder string, limit int, keep func(string) bool) ([]string, error) {
	out, err := untrusted.Names(folder, limit, keep)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read data directory: %w", err)
	}
	return out, nil
}
