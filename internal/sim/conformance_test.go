package sim

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world/authority"
	"github.com/pleiad-etcd/pleiad/internal/world/authority/authoritytest"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/delivertest"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/dnstest"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd/etcdtest"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts/hoststest"
)

// The simulator passes the suites that the real providers pass, or else it
// lies. Some start subtests inside a case, which a bubble forbids: there the world
// runs in real time.

// served is a world that is driven until the test ends.
func served(t *testing.T, o Options) *World {
	w := New(o)
	ctx, cancel := context.WithCancel(context.Background())
	var driver sync.WaitGroup
	driver.Go(func() { w.Serve(ctx) })
	t.Cleanup(func() {
		cancel()
		driver.Wait()
	})
	return w
}

// hand is a controller whose calls come from a test.
func (w *World) hand() *Controller { return w.Controller("test", &Store{}) }

func TestHosts(t *testing.T) {
	given := make([]netip.Addr, 9)
	for i := range given {
		given[i] = netip.AddrFrom4([4]byte{10, 5, 1, byte(i + 1)})
	}
	for kind, places := range map[string][]netip.Addr{"made at will": nil, "given": given} {
		t.Run(kind, func(t *testing.T) {
			hoststest.RunIn(t, synctest.Test, func(t *testing.T) hoststest.World {
				w := served(t, Options{Seed: 1})
				c := w.hand()
				on := func(of cluster.Name, h cluster.Host, do, undo func(*host)) func() {
					c.Do(func() { do(w.host(of, h.Name)) })
					return func() { c.Do(func() { undo(w.host(of, h.Name)) }) }
				}
				world := hoststest.World{
					Provider: func(of cluster.Name) hosts.Provider { return Hosts{c, of, places} },
					Data: func(of cluster.Name, h cluster.Host) func() hoststest.Where {
						log := identity{member: 7, end: int(h.Address.As4()[3])}
						on(of, h, func(h *host) { h.log = &log }, nil)
						return func() (is hoststest.Where) {
							c.Do(func() {
								switch now := w.host(of, h.Name); {
								case now != nil && now.log == &log:
									is = hoststest.OnHost
								case slices.Contains(w.kept, kept{of, h.Name, log}):
									is = hoststest.Kept
								default:
									is = hoststest.Deleted
								}
							})
							return is
						}
					},
					Obscure: func(of cluster.Name, h cluster.Host) func() {
						return on(of, h, func(h *host) { h.hidden = true }, func(h *host) { h.hidden = false })
					},
				}
				if places != nil { // a cloud cannot see what runs
					world.Member = func(of cluster.Name, h cluster.Host) func() {
						return on(of, h, func(h *host) { h.process = &process{host: h} }, func(h *host) { h.process = nil })
					}
				}
				return world
			})
		})
	}
}

func TestDeliver(t *testing.T) {
	delivertest.Run(t, func(t *testing.T) delivertest.World {
		const of = cluster.Name("dev")
		w := served(t, Options{Seed: 1})
		c := w.hand()
		on := func(h cluster.Host, do func(*host)) { c.Do(func() { do(w.host(of, h.Name)) }) }
		return delivertest.World{
			Deliverer: func() deliver.Deliverer { return Deliverer{c, of} },
			Host: func(name cluster.MemberName) (h cluster.Host) {
				c.Do(func() { h = w.newHost(of, name, "8f2c6a0e8f2c6a0e", w.vacant()).Host })
				return h
			},
			Behave: func(h cluster.Host, b delivertest.Behaviour) {
				on(h, func(h *host) { h.puppet = &puppet{refuse: b.Refuse, gate: b.Gate, stubborn: b.Stubborn} })
			},
			Answers: func(h cluster.Host) (answers bool) {
				on(h, func(h *host) { answers = h.process != nil && h.process.listening })
				return answers
			},
			Kill: func(h cluster.Host) {
				on(h, func(h *host) {
					if h.process != nil {
						w.end(h, "signal: killed")
					}
				})
			},
			Occupy: func(h cluster.Host, port uint16) func() {
				on(h, func(h *host) { h.occupied = port })
				return func() { on(h, func(h *host) { h.occupied = 0 }) }
			},
		}
	})
}

func TestDNS(t *testing.T) {
	dnstest.Run(t, func(t *testing.T) dnstest.Harness {
		w := served(t, Options{Seed: 1})
		c, denied := w.hand(), w.hand()
		denied.denied = true
		return dnstest.Harness{
			Zone: Zone{c}, Rival: Zone{w.hand()}, Denied: map[string]dns.Zone{"another hand": Zone{denied}}, Domain: "dev.test",
			Foreign:     func(s cluster.RecordSet) { c.Do(func() { s = s.Canonical(); w.zone.put(s.Key, &s) }) },
			LoseAnswer:  func() { c.Do(func() { w.forced = loses }) },
			LoseRequest: func() { c.Do(func() { w.forced = swallowed }) },
			Stall:       func() { c.Do(func() { w.zone.silent = true }) },
			Down:        func() { c.Do(func() { w.zone.running = false }) },
		}
	})
}

func TestAuthority(t *testing.T) {
	authoritytest.Run(t, func(t *testing.T) authority.Authority {
		return Authority{served(t, Options{Seed: 1}).hand()}
	})
}

func TestEtcd(t *testing.T) {
	etcdtest.Run(t, etcdtest.Harness{
		Open: func(t *testing.T, members int) etcdtest.World {
			_, w := openEtcd(t, members)
			return w
		},
		Within: func(t *testing.T, clause func(*testing.T)) {
			synctest.Test(t, clause)
		},
	})
}

// openEtcd makes hosts that hold their nodes, and publishes their list.
func openEtcd(t *testing.T, members int) (*World, etcdtest.World) {
	spec := cluster.Spec{Cluster: "dev", Domain: "dev.test", Members: members}
	w := served(t, Options{Seed: 1, Spec: spec, Idle: synctest.Wait})
	c := w.hand()
	all := make([]cluster.Host, members+1)
	list := all[:members]
	joiner := &all[members]
	marker := cluster.Marker{Cluster: "dev", Owner: "us", Token: "8f2c6a0e8f2c6a0e", Phase: cluster.Bootstrapping}
	deliver := func(h cluster.Host, m cluster.Marker, members []cluster.Host) {
		n := node.Render(spec, m, members, h, "")
		w.host("dev", h.Name).node, w.host("dev", h.Name).digest = &n, n.Digest()
	}
	c.Do(func() {
		var services []string
		for i := range all {
			h := w.newHost("dev", cluster.MemberName("etcd-aaaaaa"+string(rune('1'+i))), marker.Token, w.vacant()).Host
			all[i] = h
			set := spec.HostRecord(h.Name, h.Address)
			w.zone.put(set.Key, &set)
		}
		for _, h := range list {
			services = append(services, cluster.Service{Target: spec.HostName(h.Name) + ".", Port: h.Ports.Peer}.Value())
			marker.Members = append(marker.Members, h.Name)
		}
		set := cluster.NewRecordSet(spec.ServerService(), cluster.SRV, services...)
		w.zone.put(set.Key, &set)
		for _, h := range list {
			deliver(h, marker, list)
		}
	})
	start := func(t *testing.T, i int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := (Deliverer{c, "dev"}).Start(ctx, all[i]); err != nil {
			t.Fatalf("Start: %v", err)
		}
	}
	url := spec.PeerURL(joiner.Name, joiner.Ports.Peer)
	return w, etcdtest.World{
		Inspector: Inspector{c, "dev"}, Changer: Changer{c, "dev"}, Hosts: all, PeerURL: url, Start: start,
		Join: func(t *testing.T, entries []cluster.Member) {
			m := marker.Next(func(m *cluster.Marker) {
				m.Op = cluster.Operation{Kind: cluster.Add, Member: joiner.Name}
				m.Phase, m.ID, m.IDs = cluster.Sealed, node.ClusterID(spec, marker.Token, list), map[cluster.MemberName]cluster.MemberID{}
				for _, entry := range entries {
					if slices.Contains(entry.PeerURLs, url) {
						m.IDs[joiner.Name] = entry.ID
					}
				}
			})
			c.Do(func() { deliver(*joiner, m, all) })
			start(t, members)
		},
		Stop: func(t *testing.T, i int) { c.Do(func() { w.end(w.host("dev", all[i].Name), "signal: killed") }) },
	}
}
