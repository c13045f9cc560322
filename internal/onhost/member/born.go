package member

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// firstStartFile lies inside the data directory, in etcd's own member folder,
// from before etcd's first start on. It moves with the data: while it exists and
// the write-ahead log does not, etcd never got far enough to write one.
const firstStartFile = "pleiad-first-start"

// BornVersion is the version of the born file that we write and read.
const BornVersion = 1

// Born is stored as JSON in [cluster.BornFile]; the package comment says when.
type Born struct {
	Version int                `json:"version"`
	Token   cluster.Token      `json:"token"`
	Name    cluster.MemberName `json:"name"`
	Member  cluster.MemberID   `json:"member"`
	Cluster cluster.ID         `json:"cluster"`
	// Begun is when etcd was first let go, just before it could write data.
	Begun time.Time `json:"begun"`
	// At is when its write-ahead log was first seen; zero until then.
	At time.Time `json:"at,omitzero"`
}

// DecodeBorn reads a born file. The error is for the caller to complete with
// the file's path.
func DecodeBorn(b []byte) (Born, error) {
	var v Born
	if err := json.Unmarshal(b, &v); err != nil {
		return Born{}, err
	}
	if v.Version != BornVersion {
		return Born{}, fmt.Errorf("version %d, this pleiad reads version %d", v.Version, BornVersion)
	}
	if v.Token == "" {
		return Born{}, errors.New("token is missing")
	}
	return v, nil
}

func bornPath(dataDir string) string { return cluster.Paths{Data: dataDir}.Born() }

// readBorn is the born file beside a data directory, or nil if there is none.
func readBorn(dataDir string) (*Born, error) {
	b, err := untrusted.Read(bornPath(dataDir), untrusted.Small)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read born file: %w", err)
	}
	v, err := DecodeBorn(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", bornPath(dataDir), err)
	}
	return &v, nil
}

// beginFirstStart is the last thing before etcd's first start. It is idempotent:
// an attempt that ended before there was data is continued.
func beginFirstStart(n node.Node, now time.Time) error {
	if b, err := readBorn(n.Paths.Data); err != nil || b != nil {
		return err // identity vouched for it: begun, and without data since
	}
	folder := memberFolder(n.Paths.Data)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("begin first start: %w", err)
	}
	if _, err := durable.Replace(durable.Private(filepath.Join(folder, firstStartFile), []byte(n.Token+"\n"))); err != nil {
		return fmt.Errorf("begin first start: %w", err)
	}
	for _, d := range []string{folder, n.Paths.Data} {
		if err := durable.SyncFolders(d); err != nil {
			return fmt.Errorf("begin first start: %w", err)
		}
	}
	return writeBorn(n, now, time.Time{})
}

// setBorn notes that the member has data, unless that is known already.
func setBorn(n node.Node, now time.Time) error {
	b, err := readBorn(n.Paths.Data)
	if err != nil {
		return err
	}
	if b == nil {
		return writeBorn(n, now, now)
	}
	if b.Token == n.Token && !b.At.IsZero() {
		return nil
	}
	return writeBorn(n, b.Begun, now)
}

func writeBorn(n node.Node, begun, at time.Time) error {
	v := Born{Version: BornVersion, Token: n.Token, Name: n.Name, Member: n.Member, Cluster: n.ID, Begun: begun.UTC(), At: at.UTC()}
	if at.IsZero() {
		v.At = time.Time{}
	}
	if _, err := durable.Replace(durable.Private(bornPath(n.Paths.Data), encode(v))); err != nil {
		return fmt.Errorf("note that the member has data: %w", err)
	}
	return nil
}

const (
	// bornPoll is how often the data directory is looked at until etcd's first
	// write-ahead log is there: one stat, for some seconds of one first start.
	bornPoll = 5 * time.Millisecond
	// bornAgain is how soon a born file that could not be written is tried again.
	bornAgain = time.Second
)

// awaitBirth returns when the write-ahead log of a first start is there and
// that is noted durably, or when ctx ends. A note that cannot be written (disk
// full) is reported once and tried again: the member already has data and must
// not be stopped for it. Until it succeeds the first-start file still tells an
// empty data directory from a lost one.
func awaitBirth(ctx context.Context, n node.Node, report func(error)) {
	tick := time.NewTicker(bornPoll)
	defer tick.Stop()
	reported := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := os.Stat(walFolder(n.Paths.Data)); err != nil {
			continue
		}
		err := setBorn(n, time.Now())
		if err == nil {
			return
		}
		if !reported {
			report(err)
			reported = true
		}
		tick.Reset(bornAgain)
	}
}
