package statedir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Version is the version of home.json that we write and read.
const Version = 1

// meta is home.json.
type meta struct {
	Version int           `json:"version"`
	Cluster cluster.Name  `json:"cluster"`
	Owner   cluster.Owner `json:"owner,omitempty"`
	Seat
	location
}

// meta reads home.json; [ErrNone] if there is none.
func (h *Home) meta() (meta, error) {
	path := h.path(metaFile)
	b, err := readOwn(path)
	if errors.Is(err, fs.ErrNotExist) {
		return meta{}, fmt.Errorf("cluster %s: %w", h.cluster, ErrNone)
	}
	if err != nil {
		return meta{}, err
	}
	m, problem := decode(b)
	if problem != nil {
		problem.Path = path
		if problem.Kind == ErrDamaged {
			problem.Hint, problem.Run = rebuild, "take-over"
		}
		return meta{}, problem
	}
	if m.Cluster != h.cluster {
		return meta{}, &Error{Path: h.dir, Problem: fmt.Sprintf("it belongs to cluster %s, not %s", m.Cluster, h.cluster),
			Hint: "the folder was copied or renamed; give it back its name", Kind: ErrForeign}
	}
	return m, nil
}

// decode reads the version before all else: a newer one may have changed
// anything but that.
func decode(b []byte) (meta, *Error) {
	var v struct {
		Version int `json:"version"`
	}
	err := json.Unmarshal(b, &v)
	if err == nil && v.Version > Version {
		return meta{}, &Error{Problem: fmt.Sprintf("version %d, this pleiad reads version %d", v.Version, Version),
			Hint: "a newer pleiad wrote it; use that one", Kind: ErrNewer}
	}
	var m meta
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return meta{}, &Error{Problem: fmt.Sprintf("not readable as JSON: %v", err), Hint: restore, Kind: ErrDamaged}
	}
	if m.Version < 1 || m.Cluster == "" || m.Hosts == "" || m.Path == "" {
		return meta{}, &Error{Problem: "version, cluster, hosts or path is missing", Hint: restore, Kind: ErrDamaged}
	}
	return m, nil
}

func (h *Home) setMeta(m meta) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", metaFile, err)
	}
	return replace(h.disk, h.path(metaFile), append(b, '\n'))
}
