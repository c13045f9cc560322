package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// Stage is [Host.Install] where Chef lays the files down: it makes the same
// checks, the member's user, its folders, its volume and the release, which no
// run of Chef's own may make, and puts the rest where the recipe takes it from.
// A run of Chef in progress is waited for.
func (h *Host) Stage(ctx context.Context, host cluster.Host, n node.Node, creds *node.Credentials, binary string, renew bool) error {
	i := installing{Host: h, node: n, binary: binary, renew: renew}
	return wrap("install on", host.Name, h.exclusively(ctx, func() error {
		if err := i.check(ctx, host, creds); err != nil {
			return err
		}
		return i.take(ctx, i.folders, i.aside, i.volume, i.release, func(ctx context.Context) error {
			return h.staging(ctx, true, func() error { return i.stage(creds) })
		})
	}))
}

func (h *Host) staged(name string) string {
	return filepath.Join(h.path(node.StageFolder), name)
}

// staging does something to the stage while nobody else does. Without create it
// does nothing where there is none.
func (h *Host) staging(ctx context.Context, create bool, do func() error) error {
	folder := h.path(node.StageFolder)
	if create {
		if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	for {
		if there, err := exists(folder); err != nil || !there {
			return err
		}
		lock, err := process.Acquire(h.staged(node.StageLock))
		if err == nil {
			return errors.Join(do(), lock.Release())
		}
		if !errors.Is(err, process.ErrHeld) {
			return err
		}
		if err := sleep(ctx, poll); err != nil {
			return fmt.Errorf("a run of Chef is at work with %s: %w", node.StageFolder, err)
		}
	}
}

// unstage takes the stage away, so that no later run of Chef lays it down.
func (h *Host) unstage(ctx context.Context) error {
	return h.staging(ctx, false, func() error {
		if _, err := durable.Remove(h.staged(node.StageList)); err != nil {
			return err
		}
		return errors.Join(os.RemoveAll(h.path(node.StageFolder)), durable.SyncFolders(filepath.Dir(h.path(node.StageFolder))))
	})
}

// stage writes what is to be laid down. Certificates of the same member stay,
// where no others are given.
func (i *installing) stage(creds *node.Credentials) error {
	certificates, err := i.keepsCertificates()
	if err != nil {
		return err
	}
	digest, err := digestOf(i.path(i.binary))
	if err != nil {
		return err
	}
	list := durable.Private(i.staged(node.StageList), i.node.Stage(i.user.UID, i.user.GID, i.binary, digest, creds != nil || certificates).Encode())
	files := []durable.File{
		durable.Private(i.staged("hosts"), i.node.Hosts()),
		durable.Private(i.staged(node.UnitName), i.node.Unit(i.binary, i.openFiles())),
		durable.Private(i.staged(node.FileName), i.node.Encode()),
	}
	if creds != nil {
		for _, f := range creds.Files() {
			files = append(files, durable.Private(i.staged(f.Name), f.Content))
		}
	}
	same, err := hold(append(files, list))
	if err != nil || same {
		return errors.Join(err, i.stageBinary(digest))
	}
	if _, err := durable.Remove(list.Path); err != nil {
		return err
	}
	pki := filepath.Dir(i.staged(node.PeerKeyFile))
	if creds == nil && !certificates {
		if err := os.RemoveAll(pki); err != nil {
			return err
		}
	} else if err := os.MkdirAll(pki, 0o700); err != nil {
		return err
	}
	if err := i.stageBinary(digest); err != nil {
		return err
	}
	for _, f := range append(files, list) {
		if _, err := durable.Replace(f); err != nil {
			return err
		}
	}
	return nil
}

func hold(files []durable.File) (bool, error) {
	for _, f := range files {
		if same, err := f.Holds(); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// keepsCertificates says whether the stage has certificates of this member.
func (i *installing) keepsCertificates() (bool, error) {
	list, err := i.list()
	if list == nil || list.Name != i.node.Name || list.Token != i.node.Token {
		return false, err
	}
	return len(list.Files) > 0 && list.Files[0].From == node.PeerCAFile, nil
}

// list is the list of the stage; nil if there is none that can be used.
func (h *Host) list() (*node.Stage, error) {
	b, err := untrusted.Read(h.staged(node.StageList), untrusted.Small)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := node.DecodeStage(b)
	if err != nil {
		return nil, nil // of another version: it is written anew
	}
	return &s, nil
}

// stageBinary puts pleiad into the stage: by another name for the same file, or
// as a copy on another file system.
func (i *installing) stageBinary(digest string) error {
	from, to := i.path(i.binary), i.staged(node.StageBinary)
	if same, err := digestIs(to, digest); err != nil || same {
		return err
	}
	if err := os.RemoveAll(durable.Beside(to)); err != nil {
		return err
	}
	if err := os.Link(from, durable.Beside(to)); err != nil {
		if err := copyFile(from, durable.Beside(to)); err != nil {
			return err
		}
	}
	return os.Rename(durable.Beside(to), to)
}

func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Sync(), w.Close())
}

func digestIs(path, digest string) (bool, error) {
	sum, err := digestOf(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return sum == digest, err
}

func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return hex.EncodeToString(sum.Sum(nil)), err
}

// Unlaid says what of the stage is not on the machine as Chef should have laid it
// down; "the stage" if there is none.
func (h *Host) Unlaid(ctx context.Context, host cluster.Host) (out []string, err error) {
	err = h.exclusively(ctx, func() error {
		out, err = h.unlaid()
		return err
	})
	return out, wrap("look at", host.Name, err)
}

func (h *Host) unlaid() ([]string, error) {
	list, err := h.list()
	if err != nil || list == nil {
		return []string{node.StageFolder}, err
	}
	var out []string
	note := func(path string, same bool, err error) error {
		if err == nil && !same {
			out = append(out, path)
		}
		return err
	}
	u := User{UID: list.UID, GID: list.GID}
	for _, f := range list.Files {
		content, err := untrusted.Read(h.staged(f.From), untrusted.Small)
		if err != nil {
			return nil, err
		}
		mode, err := strconv.ParseUint(f.Mode, 8, 9)
		if err != nil {
			return nil, err
		}
		want := durable.File{Path: f.To, Content: content, Mode: fs.FileMode(mode), UID: -1, GID: -1}
		holds := func() error {
			same, err := want.Holds()
			return note(f.To, same, err)
		}
		if f.Member {
			want.UID, want.GID = u.UID, u.GID
			err = as(u, holds)
		} else {
			want.Path = h.path(f.To)
			err = holds()
		}
		if err != nil {
			return nil, err
		}
	}
	same, err := digestIs(h.path(list.Binary), list.SHA256)
	if err := note(list.Binary, same, err); err != nil {
		return nil, err
	}
	if list.Sealed {
		there, err := exists(h.path(list.Wants))
		if err := note(list.Wants, there, err); err != nil {
			return nil, err
		}
	}
	return out, nil
}
