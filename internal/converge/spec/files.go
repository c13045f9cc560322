package spec

import (
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Resolve turns the paths of all files that a spec names into what absolute
// makes of them, so that the spec means the same wherever it is read next.
// Paths that begin with "~/" do so already and stay. The first error of
// absolute is returned as it is.
func Resolve(s *cluster.Spec, absolute func(path string) (string, error)) error {
	return resolve(key{kind: group, keys: keys()}, s, absolute)
}

func resolve(g key, s *cluster.Spec, absolute func(string) (string, error)) error {
	for _, k := range g.keys {
		if k.picked != nil && !k.picked(*s) {
			continue
		}
		if err := resolve(k, s, absolute); err != nil {
			return err
		}
		if !k.isFile {
			continue
		}
		path := k.get(*s)
		if path == "" || strings.HasPrefix(path, "~/") {
			continue
		}
		path, err := absolute(path)
		if err == nil {
			err = k.set(s, path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
