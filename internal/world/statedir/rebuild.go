package statedir

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// Remains is what is left of a home whose home.json is missing or damaged; nil if
// nothing is. It has no owner, and nothing can be written to it. The owner has to be
// found out elsewhere; see [Home.Rebuild].
func Remains(root string, name cluster.Name) (*Home, error) {
	h, err := homeAt(root, name)
	if err != nil {
		return nil, err
	}
	if err := checkFolder(h.dir, self()); err != nil {
		return nil, orNone(err)
	}
	switch _, err := h.meta(); {
	case err == nil || !errors.Is(err, ErrNone) && !errors.Is(err, ErrDamaged):
		return nil, err
	}
	for _, name := range []string{specFile, pkiFolder, "dns", "hosts"} { // not what outlives a cluster
		if there, err := exists(h.path(name)); err != nil || there {
			return h, err
		}
	}
	return nil, nil
}

// Fingerprint is that of the CAs that are stored, empty if there are none.
func (h *Home) Fingerprint() (string, error) {
	cas, err := h.cas()
	if err != nil || cas == nil {
		return "", err
	}
	return cas.fingerprint(), nil
}

// Rebuild writes home.json again.
func (h *Home) Rebuild(owner cluster.Owner, seat Seat) (err error) {
	h.write.Lock()
	defer h.write.Unlock()
	lock, err := process.Acquire(h.path(lockFile))
	if errors.Is(err, process.ErrHeld) {
		return &HeldError{Cluster: h.cluster, Holder: h.holder()}
	}
	if err != nil {
		return unwritable(h.dir, err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if _, err := h.meta(); err == nil {
		return fmt.Errorf("write %s: it exists again", filepath.Join(h.dir, metaFile))
	}
	here, err := locationOf(h.dir)
	if err != nil {
		return err
	}
	return h.setMeta(meta{Version: Version, Cluster: h.cluster, Owner: owner, Seat: seat, location: here})
}
