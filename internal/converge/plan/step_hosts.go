package plan

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// LaunchHost makes a host exist, if the marker is still the one planned with.
type LaunchHost struct {
	Reason
	Member cluster.MemberName
	Token  cluster.Token
	Marker cluster.RecordSet
	// Others are the addresses of other members: what cannot be inspected there is
	// not this host.
	Others []netip.Addr
}

func (LaunchHost) Verb() string     { return "launch host" }
func (s LaunchHost) Object() string { return string(s.Member) }

// Members implements Step.
func (s LaunchHost) Members() []cluster.MemberName { return []cluster.MemberName{s.Member} }

// Effect implements Step. It takes the first free place, as a provider does.
// Where there are none the address is made up, from those for documentation
// (RFC 5737), and so are paths: the real ones are known when the host is.
func (l LaunchHost) Effect(spec cluster.Spec, s cluster.State) cluster.State {
	hosts := slices.Clone(s.Hosts.Or(nil))
	address := netip.AddrFrom4([4]byte{192, 0, 2, byte(len(hosts) + 1)})
	if i := slices.IndexFunc(s.Places, cluster.Place.Free); i >= 0 {
		address = s.Places[i].Address
		s.Places = slices.Delete(slices.Clone(s.Places), i, i+1)
	}
	h := cluster.Host{Name: l.Member, Token: l.Token, Ports: cluster.StandardPorts(), Address: address,
		Paths: cluster.Paths{Config: "/" + string(l.Member) + "/config", Data: "/" + string(l.Member) + "/data"},
		Node:  cluster.Known(cluster.Node{}), View: cluster.Unknown[cluster.View]("not running")}
	if spec.MakesMachines() {
		h.Pending, h.Blank = "its machine is being made", true
	}
	hosts = append(hosts, h)
	slices.SortFunc(hosts, func(a, b cluster.Host) int { return strings.Compare(string(a.Name), string(b.Name)) })
	s.Hosts = cluster.Known(hosts)
	return s
}

// AwaitHost makes a host ready whose machine is not up.
type AwaitHost struct {
	Reason
	Host cluster.Host
}

func (AwaitHost) Verb() string     { return "await host" }
func (s AwaitHost) Object() string { return string(s.Host.Name) }

// Members implements Step.
func (s AwaitHost) Members() []cluster.MemberName { return []cluster.MemberName{s.Host.Name} }

// Effect implements Step. What is on a machine that was stopped nobody can tell.
func (a AwaitHost) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	return edit(s, a.Host.Name, func(h *cluster.Host) { h.Pending, h.Blank = "", false })
}

// awaitHosts are the steps for hosts that are pending. Nothing else is done on those.
func awaitHosts(hosts []cluster.Host) []Step {
	var steps []Step
	for _, h := range hosts {
		if h.Pending != "" {
			steps = append(steps, AwaitHost{Host: h, Reason: Reason{Why: h.Pending, Rules: []Rule{"R13"}}})
		}
	}
	return steps
}

// ready are the hosts that are not pending.
func ready(hosts []cluster.Host) []cluster.Host {
	return slices.DeleteFunc(slices.Clone(hosts), func(h cluster.Host) bool { return h.Pending != "" })
}

// TerminateHost removes a host, if the marker still says so.
type TerminateHost struct {
	Reason
	Host   cluster.Host
	Marker cluster.RecordSet
	// KeepData moves the data aside instead of deleting it.
	KeepData bool
}

func (TerminateHost) Verb() string     { return "terminate host" }
func (s TerminateHost) Object() string { return string(s.Host.Name) }

// Members implements Step.
func (s TerminateHost) Members() []cluster.MemberName { return []cluster.MemberName{s.Host.Name} }

// Destroys implements Step.
func (s TerminateHost) Destroys() bool { return !s.KeepData }

// Effect implements Step.
func (t TerminateHost) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s.Hosts = cluster.Known(slices.DeleteFunc(slices.Clone(s.Hosts.Or(nil)), func(h cluster.Host) bool { return h.Name == t.Host.Name }))
	return s
}
