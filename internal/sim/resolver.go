package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
)

// remembered is an answer in a host's resolver: a set, or nil for "there is
// none", which is remembered as well (RFC 2308).
type remembered struct {
	set   *cluster.RecordSet
	until time.Time
}

// wavering is a name of which a host's resolver now says what is true and now
// something else: of two name servers one is stale, or the record comes and goes.
type wavering struct {
	key cluster.Key
	remembered
}

// longestMemory is the most that a resolver keeps an answer, whatever its TTL:
// less than the loop's patience, as with any resolver that obeys our TTL.
const longestMemory = 40 * time.Second

// resolve asks as a process on a host does: the name server it was given, or
// else the host's own resolver, which remembers answers. The error says why
// nobody knows.
func (w *World) resolve(h *host, server string, k cluster.Key) (*cluster.RecordSet, error) {
	if v := h.wavers; v.key == k && time.Now().Before(v.until) && w.chance.IntN(2) == 0 {
		return v.set, nil
	}
	if server == "" {
		if r, ok := h.resolver[k]; ok && time.Now().Before(r.until) {
			return r.set, nil
		}
	}
	if !w.zone.running {
		return nil, fmt.Errorf("name server %s: server misbehaving", server)
	}
	set := w.zone.get(k)
	if server == "" {
		keep := min(lifetime(set, w.opts.Negative), longestMemory)
		h.resolver[k] = remembered{set: set, until: time.Now().Add(keep)}
	}
	return set, nil
}

// services looks an SRV set up.
func (w *World) services(h *host, server, name string) cluster.Seen[[]cluster.Service] {
	set, err := w.resolve(h, server, cluster.Key{Name: name, Type: cluster.SRV})
	if err != nil {
		return cluster.Unknown[[]cluster.Service](err.Error())
	}
	if set == nil {
		return cluster.Known[[]cluster.Service](nil)
	}
	var out []cluster.Service
	for _, v := range set.Values {
		s, err := cluster.ParseService(v)
		if err != nil {
			return cluster.Unknown[[]cluster.Service](err.Error())
		}
		out = append(out, s)
	}
	return cluster.Known(out)
}

// addresses looks a host name up, both families.
func (w *World) addresses(h *host, server, name string) cluster.Seen[[]netip.Addr] {
	var out []netip.Addr
	for _, kind := range []cluster.RecordType{cluster.A, cluster.AAAA} {
		set, err := w.resolve(h, server, cluster.Key{Name: strings.ToLower(name), Type: kind})
		if err != nil {
			return cluster.Unknown[[]netip.Addr](err.Error())
		}
		if set == nil {
			continue
		}
		for _, v := range set.Values {
			if a, err := netip.ParseAddr(v); err == nil {
				out = append(out, a)
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return cluster.Known(out)
}

// ask puts the questions of the start gate.
func (w *World) ask(h *host, n node.Node, rival string) member.Answers {
	a := member.Answers{Services: w.services(h, n.Resolver, n.Gate.Service), Rival: w.services(h, n.Resolver, rival),
		Hosts: map[string]cluster.Seen[[]netip.Addr]{}}
	for _, p := range n.Gate.Peers {
		seen := w.addresses(h, n.Resolver, p.Target)
		a.Hosts[p.Target], a.Hosts[strings.TrimSuffix(p.Target, ".")] = seen, seen
	}
	return a
}

// rivalOf is the SRV name of the other scheme, which etcd reads as well.
func rivalOf(service string) string {
	if rest, ok := strings.CutPrefix(service, "_etcd-server-ssl"); ok {
		return "_etcd-server" + rest
	}
	rest := strings.TrimPrefix(service, "_etcd-server")
	return "_etcd-server-ssl" + rest
}
