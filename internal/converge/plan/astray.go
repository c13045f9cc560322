package plan

import "github.com/pleiad-etcd/pleiad/internal/cluster"

// Astray says that a cluster that was begun is not where the spec has its records:
// there is no marker. It is for whoever knows that this is another place than
// before, or does not know where it was: the address of a server says nothing of
// what it serves. former are the records of the former place, if they were asked
// for. A cluster that shows no host, nor a marker there, did not get as far as to
// stand anywhere, and is planned for like any other; so is one that has lost its
// marker beside its hosts, but not to destroy it.
func Astray(spec cluster.Spec, s cluster.State, former cluster.Seen[cluster.Records], destroys bool) bool {
	_, is := s.Records.Or(cluster.Records{}).Get(spec.MarkerKey())
	_, was := former.Or(cluster.Records{}).Get(spec.MarkerKey())
	hosts := len(s.Hosts.Or(nil)) > 0
	switch {
	case !s.Records.Known(), is, hosts && !destroys:
		return false
	}
	return hosts || !s.Hosts.Known() || !former.Known() || was
}
