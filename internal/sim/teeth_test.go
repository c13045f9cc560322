package sim_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// enough seeds to catch each defect many times over.
const enough = 2000

// TestTeeth breaks one safety after the other, here and nowhere in the
// product, and asks the same scenarios to notice: an invariant that never
// fires proves nothing.
func TestTeeth(t *testing.T) {
	for _, c := range []struct {
		rule, defect string
		broken       broken
	}{
		{"R1", "unknown counts as absent", broken{planner: unknownIsAbsent, befalls: "obscure"}},
		{"R2", "a machine that cannot be seen counts as free", broken{planner: darkIsFree, befalls: "dark"}},
		{"R1", "what was not found is not remembered", broken{planner: missingUnseen, befalls: "lose host"}},
		{"R2", "a claim that cannot be read counts as none", broken{world: claimsOrNone, befalls: "lose claim"}},
		{"R2", "the marker goes before the hosts", broken{planner: markerFirst}},
		{"R2", "a marker from the past unseals nodes", broken{planner: markerObeyed, noIdentity: true}},
		{"R2", "a marker from the past is carried on", broken{planner: markerObeyed}},
		{"R3", "members start without a gate", broken{noGate: true}},
		{"R3", "etcd asks DNS again, after the gate", broken{askTwice: true}},
		{"R4", "a restart is not on the marker", broken{planner: reserveNothing}},
		{"R4", "a restart is over before its member serves", broken{planner: releaseAtOnce}},
		{"R4", "a member leaves while another one joins", broken{planner: instead(anotherChange)}},
		{"R4", "an addition is over before its member votes", broken{planner: instead(joinedAtOnce)}},
		{"R4", "a removal is over before etcd has made it", broken{planner: instead(goneAtOnce)}},
		{"R4", "etcd is asked again without a look at the marker", broken{world: insistent}},
		{"R5", "members are rolled all at once", broken{planner: rollTogether}},
		{"R5", "a new program goes to all machines at once", broken{world: everywhere, befalls: "another pleiad"}},
		{"R5", "certificates change all at once", broken{planner: renewTogether}},
		{"R5", "clocks are not compared", broken{planner: clocksUnseen, befalls: "wrong clock"}},
		{"R6", "lost hosts are launched again", broken{planner: launchAgain, befalls: "vanish"}},
		{"R6", "nodes are put beside another member's data", broken{planner: deliverAnyway, noIdentity: true}},
		{"R6", "lost data is not noticed", broken{planner: lossUnseen, noIdentity: true}},
		{"R6", "a copied host counts as the original", broken{planner: copiedHostIsOurs}},
		{"R6", "older data is not noticed", broken{noMark: true, befalls: "roll back"}},
		{"R6", "a power cut takes acknowledged writes", broken{options: map[string]string{"unsafe-no-fsync": "true"}, befalls: "power cut"}},
		{"R7", "members that serve leave though they are wanted", broken{planner: tooFew}},
		{"R8", "a member leaves while clients are sent to it", broken{planner: instead(servedToTheEnd)}},
		{"R8", "a member is added before it has an address", broken{planner: instead(addressLater)}},
		{"R8", "clients are sent to members before they serve", broken{planner: clientsAtOnce}},
		{"R9", "members that cannot be seen are pinned no more", broken{planner: seenOnly}},
		{"R10", "foreign values are withdrawn", broken{planner: foreignIsOurs}},
		{"R11", "what somebody else wrote meanwhile is overwritten", broken{world: regardless}},
		{"R11", "a host is asked for twice and made twice", broken{noToken: true}},
		{"R12", "an unknown outcome is tried again", broken{world: blindly}},
		{"R13", "the members are those whose hosts are left", broken{planner: shrink, befalls: "vanish"}},
		{"R13", "more members join than are wanted", broken{planner: tooMany}},
		{"R13", "what is refused stops the rest", broken{planner: refusalsStop}},
		{"R13", "a name server that does not start stops the rest", broken{planner: serverFirst}},
		{"R14", "what has lost its data is thrown away", broken{planner: throwAway, befalls: "wipe"}},
		{"R14", "nobody asks who hears from a lost member", broken{planner: unheard, befalls: "lose host"}},
		{"R14", "a host goes while its member runs", broken{world: standing}},
		{"R14", "data that is to be kept is deleted", broken{planner: keepNothing}},
		{"R15", "a copied state directory acts", broken{planner: copyIsOriginal}},
		{"R15", "an error tells a key", broken{world: talkative}},
	} {
		t.Run(c.rule+" "+c.defect, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= enough; seed++ {
				r := one(t, seed, c.broken)
				if slices.ContainsFunc(r.failures, func(f string) bool { return strings.HasPrefix(f, c.rule+" violated") }) {
					t.Logf("caught by seed %d: %s", seed, r.failures[0])
					return
				}
			}
			t.Errorf("not caught within %d seeds", enough)
		})
	}
}

// unknownIsAbsent takes for absent what could not be seen, and claims without
// the guards that would still notice.
func unknownIsAbsent(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		if !s.Records.Known() || !s.Hosts.Known() {
			s.Records, s.Hosts = cluster.Known(cluster.Records{}), cluster.Known[[]cluster.Host](nil)
		}
		p := next(spec, s)
		for i, step := range p.Steps {
			if c, ok := step.(plan.ChangeRecords); ok && c.Purpose == plan.Claim {
				c.Changes = slices.DeleteFunc(c.Changes, func(ch cluster.Change) bool { return ch.New == nil })
				p.Steps[i] = c
			}
		}
		return p
	}
}

// withHosts is a state with other hosts than were seen.
func withHosts(s cluster.State, change func(*cluster.Host)) cluster.State {
	hosts, known := s.Hosts.Get()
	if !known {
		return s
	}
	hosts = slices.Clone(hosts)
	for i := range hosts {
		change(&hosts[i])
	}
	s.Hosts = cluster.Known(hosts)
	return s
}

// markerObeyed takes from hosts what they know, so that only the marker counts.
func markerObeyed(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		lie := withHosts(s, func(h *cluster.Host) {
			h.Node.Edit(func(n *cluster.Node) { n.Sealed, n.Made, n.Data = false, cluster.Made{}, cluster.Data{} })
		})
		return asFound(next(spec, lie), s.Hosts.Or(nil))
	}
}

// launchAgain makes hosts anew that are gone, although the list was published.
func launchAgain(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		p := next(spec, s)
		records := s.Records.Or(cluster.Records{})
		m, found, _ := spec.Marker(records)
		if !found || m.Phase != cluster.Bootstrapping || !s.Hosts.Known() {
			return p
		}
		set, _ := records.Get(spec.MarkerKey())
		for _, name := range spec.Roster(m, s.Hosts.Or(nil), records).Missing() {
			p.Refusals, p.Steps = nil, append(p.Steps, plan.LaunchHost{Member: name, Token: m.Token, Marker: set})
		}
		return p
	}
}

// asFound gives the hosts in starts back what was found on them, so that apply
// finds it again.
func asFound(p plan.Plan, hosts []cluster.Host) plan.Plan {
	for i, step := range p.Steps {
		start, ok := step.(plan.StartMember)
		if !ok {
			continue
		}
		for _, h := range hosts {
			if h.Name == start.Host.Name {
				start.Host.Node = h.Node
			}
		}
		p.Steps[i] = start
	}
	return p
}

// deliverAnyway delivers to hosts whose data is another member's.
func deliverAnyway(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		lie := withHosts(s, func(h *cluster.Host) {
			h.Node.Edit(func(n *cluster.Node) {
				if n.Data.Present && n.Made.Token != "" {
					n.Data.Member, n.Data.Cluster = n.Made.Member, n.Made.ID
				}
			})
		})
		return asFound(next(spec, lie), s.Hosts.Or(nil))
	}
}

// missingUnseen takes members for ended whose hosts were not found.
func missingUnseen(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		s.Missing = nil
		return next(spec, s)
	}
}

// claimsOrNone takes a place whose claim cannot be read for one without a claim.
func claimsOrNone(w world.World) world.World {
	w.Hosts = claimless{w.Hosts}
	return w
}

type claimless struct{ hosts.Provider }

func (p claimless) List(ctx context.Context) (hosts.Listing, error) {
	l, err := p.Provider.List(ctx)
	for i := range l.Places {
		if l.Places[i].Lasting {
			l.Places[i].Unknown = ""
		}
	}
	return l, err
}

// darkIsFree takes machines that could not be looked into for free ones.
func darkIsFree(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		s.Places = slices.Clone(s.Places)
		for i := range s.Places {
			s.Places[i].Unknown = ""
		}
		return next(spec, s)
	}
}

// seenOnly renders nodes as if hosts that cannot be looked into were no members.
func seenOnly(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		p := next(spec, s)
		for i, step := range p.Steps {
			in, ok := step.(plan.InstallNode)
			if !ok {
				continue
			}
			in.Node.Pins = maps.Clone(in.Node.Pins)
			for _, h := range s.Hosts.Or(nil) {
				if !h.Node.Known() {
					delete(in.Node.Pins, spec.HostName(h.Name))
				}
			}
			p.Steps[i] = in
		}
		return p
	}
}

// markerFirst deletes the marker as soon as nothing runs.
func markerFirst(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		p := next(spec, s)
		for _, step := range p.Steps {
			if t, ok := step.(plan.TerminateHost); ok {
				return plan.Plan{Steps: []plan.Step{plan.ChangeRecords{Purpose: plan.DeleteMarker,
					Changes: []cluster.Change{{Key: t.Marker.Key, Old: &t.Marker}}}}}
			}
		}
		return p
	}
}

// rollTogether restarts every member that runs with old flags at once.
func rollTogether(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		p := next(spec, s)
		if len(p.Steps) != 1 {
			return p
		}
		if stop, ok := p.Steps[0].(plan.StopMember); ok {
			p.Steps, p.Together = nil, true
			for _, h := range s.Hosts.Or(nil) {
				stop.Host = h
				p.Steps = append(p.Steps, stop)
			}
		}
		return p
	}
}

// reserveNothing stops the next member at once instead of saying so first.
func reserveNothing(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		p := next(spec, s)
		for i, step := range p.Steps {
			c, ok := step.(plan.ChangeRecords)
			if !ok || c.Purpose != plan.Reserve {
				continue
			}
			for _, h := range s.Hosts.Or(nil) {
				if h.Name == c.Of {
					p.Steps[i] = plan.StopMember{Host: h}
				}
			}
		}
		return p
	}
}

// releaseAtOnce takes an operation off the marker as soon as its member has been
// stopped.
func releaseAtOnce(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		p := next(spec, s)
		stored, found := s.Records.Or(cluster.Records{}).Get(spec.MarkerKey())
		m, err := cluster.ReadMarker(stored)
		if !found || err != nil || m.Op == (cluster.Operation{}) {
			return p
		}
		for _, step := range p.Steps {
			if start, ok := step.(plan.StartMember); ok && start.Host.Name == m.Op.Member {
				return markerOnly(plan.Release, stored, m.Next(func(m *cluster.Marker) { m.Op = cluster.Operation{} }))
			}
		}
		return p
	}
}

// markerOnly is a plan to change nothing but the marker.
func markerOnly(purpose plan.Purpose, stored cluster.RecordSet, m cluster.Marker) plan.Plan {
	now := cluster.NewRecordSet(stored.Name, stored.Type, m.String())
	return plan.Plan{Steps: []plan.Step{plan.ChangeRecords{Purpose: purpose, Changes: []cluster.Change{{Key: stored.Key, Old: &stored, New: &now}}}}}
}

// shrink takes members off the marker whose hosts are gone.
func shrink(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		stored, found := s.Records.Or(cluster.Records{}).Get(spec.MarkerKey())
		m, err := cluster.ReadMarker(stored)
		if !found || err != nil || m.Phase != cluster.Sealed || !s.Hosts.Known() {
			return next(spec, s)
		}
		left := slices.DeleteFunc(slices.Clone(m.Members), func(n cluster.MemberName) bool {
			return !slices.ContainsFunc(s.Hosts.Or(nil), func(h cluster.Host) bool { return h.Name == n })
		})
		if len(left) == len(m.Members) {
			return next(spec, s)
		}
		return markerOnly(plan.Repair, stored, m.Next(func(m *cluster.Marker) { m.Members = left }))
	}
}

// renewTogether changes all certificates that are due, not one.
func renewTogether(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		p := next(spec, s)
		for _, step := range p.Steps {
			in, ok := step.(plan.InstallNode)
			if !ok || !in.Issue || !in.Host.Runs() {
				continue
			}
			for _, h := range s.Hosts.Or(nil) {
				if n := h.Node.Or(cluster.Node{}); h.Name != in.Host.Name && n.Process.Running && n.Certificate.Due(s.At) {
					marker := cluster.Marker{Token: h.Token, Phase: cluster.Sealed, ID: n.Data.Cluster, Generation: in.Node.Generation}
					in.Host, in.Node = h, node.Render(spec, marker, s.Hosts.Or(nil), h, "")
					p.Steps = append(p.Steps, in)
				}
			}
			return p
		}
		return p
	}
}

// clocksUnseen takes all clocks for one.
func clocksUnseen(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		return next(spec, withHosts(s, func(h *cluster.Host) { h.Skew = 0 }))
	}
}

// lossUnseen takes it for granted that a member has its data.
func lossUnseen(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		hosts, seen := slices.Clone(s.Hosts.Or(nil)), map[cluster.MemberName]cluster.Data{}
		for i, h := range hosts {
			d := h.Node.Or(cluster.Node{}).Data
			seen[h.Name] = d
			if h.Node.Known() && d.Born && !d.Present {
				members := node.Render(spec, cluster.Marker{Token: h.Token}, hosts, h, "")
				hosts[i].Node.Edit(func(n *cluster.Node) {
					n.Data = cluster.Data{Present: true, Born: true, Member: members.Member, Cluster: members.ID}
				})
			}
		}
		s.Hosts.Edit(func(all *[]cluster.Host) { *all = hosts })
		p := next(spec, s)
		for i, step := range p.Steps {
			if start, ok := step.(plan.StartMember); ok {
				start.Host.Node.Edit(func(n *cluster.Node) { n.Data = seen[start.Host.Name] }) // as apply will find it
				p.Steps[i] = start
			}
		}
		return p
	}
}

// copyIsOriginal acts from a copy of a state directory as from the original.
func copyIsOriginal(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		s.Control.Edit(func(c *cluster.Control) { c.Copy = "" })
		return next(spec, s)
	}
}

// copiedHostIsOurs starts a member on a host that was put back from a backup.
func copiedHostIsOurs(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		return next(spec, withHosts(s, func(h *cluster.Host) { h.Copy = "" }))
	}
}

// clientsAtOnce publishes the client SRV set together with the server's.
func clientsAtOnce(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		p := next(spec, s)
		for i, step := range p.Steps {
			c, ok := step.(plan.ChangeRecords)
			if !ok || c.Purpose != plan.Publish {
				continue
			}
			for _, ch := range c.Changes {
				if ch.Name == spec.ServerService() && ch.Old == nil {
					set := cluster.NewRecordSet(spec.ClientService(), cluster.SRV, ch.New.Values...)
					c.Changes = append(c.Changes, cluster.Change{Key: set.Key, New: &set})
				}
			}
			p.Steps[i] = c
		}
		return p
	}
}

// refusalsStop does nothing where anything is refused.
func refusalsStop(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		p := next(spec, s)
		if len(p.Refusals) > 0 {
			p.Steps = nil
		}
		return p
	}
}

// serverFirst does nothing before the name server runs.
func serverFirst(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		p := next(spec, s)
		for _, step := range p.Steps {
			if _, ok := step.(plan.StartNameServer); ok {
				return plan.Plan{Steps: []plan.Step{step}}
			}
		}
		return p
	}
}

// throwAway terminates the hosts of members that are not started.
func throwAway(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		p := next(spec, s)
		marker, found := s.Records.Or(cluster.Records{}).Get(spec.MarkerKey())
		for _, r := range p.Refusals {
			for _, h := range s.Hosts.Or(nil) {
				if found && r.Rule == "R6" && r.What == "start member "+string(h.Name) {
					p.Steps = append(p.Steps, plan.TerminateHost{Host: h, Marker: marker})
				}
			}
		}
		return p
	}
}

// keepNothing deletes all data, whatever was asked for.
func keepNothing(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		p := next(spec, s)
		for i, step := range p.Steps {
			if t, ok := step.(plan.TerminateHost); ok {
				t.KeepData = false
				p.Steps[i] = t
			}
		}
		return p
	}
}

// foreignIsOurs withdraws all that stands on our names, whoever wrote it.
func foreignIsOurs(next plan.Planner) plan.Planner {
	return func(spec cluster.Spec, s cluster.State) plan.Plan {
		p := next(spec, s)
		for i, step := range p.Steps {
			c, ok := step.(plan.ChangeRecords)
			if !ok || c.Purpose != plan.Withdraw {
				continue
			}
			c.Changes = slices.DeleteFunc(c.Changes, func(ch cluster.Change) bool { return ch.Type != cluster.TXT })
			for _, set := range s.Records.Or(cluster.Records{}).Sets {
				if set.Type != cluster.TXT {
					c.Changes = append(c.Changes, cluster.Change{Key: set.Key, Old: &set})
				}
			}
			p.Steps[i] = c
		}
		return p
	}
}

// blindly tries again what may have been done already.
func blindly(w world.World) world.World {
	w.DNS = again{w.DNS}
	return w
}

// regardless writes again where a guard failed, over what is there now.
func regardless(w world.World) world.World {
	w.DNS = unguarded{w.DNS}
	return w
}

type unguarded struct{ dns.Zone }

func (z unguarded) Apply(ctx context.Context, changes []cluster.Change) (dns.Receipt, error) {
	r, err := z.Zone.Apply(ctx, changes)
	if !errors.Is(err, dns.ErrConflict) {
		return r, err
	}
	keys := make([]cluster.Key, len(changes))
	for i, c := range changes {
		keys[i] = c.Key
	}
	now, err := z.Read(ctx, keys)
	if err != nil {
		return "", err
	}
	changes = slices.Clone(changes)
	for i := range changes {
		changes[i].Old = nil
		if set, ok := now.Get(changes[i].Key); ok {
			changes[i].Old = &set
		}
	}
	return z.Zone.Apply(ctx, changes)
}

type again struct{ dns.Zone }

func (z again) Apply(ctx context.Context, changes []cluster.Change) (dns.Receipt, error) {
	r, err := z.Zone.Apply(ctx, changes)
	if errors.Is(err, dns.ErrUnknownOutcome) {
		return z.Zone.Apply(ctx, changes)
	}
	return r, err
}

// standing says of every member that it does not run.
func standing(w world.World) world.World {
	w.Deliver = still{w.Deliver}
	return w
}

type still struct{ deliver.Deliverer }

func (d still) Inspect(ctx context.Context, h cluster.Host) (cluster.Node, error) {
	n, err := d.Deliverer.Inspect(ctx, h)
	n.Process = cluster.Process{}
	return n, err
}

// everywhere delivers the program of now with each node.
func everywhere(w world.World) world.World {
	w.Deliver = renewing{w.Deliver}
	return w
}

type renewing struct{ deliver.Deliverer }

func (d renewing) Install(ctx context.Context, h cluster.Host, n node.Node, creds *node.Credentials, _ bool) error {
	return d.Deliverer.Install(ctx, h, n, creds, true)
}

// talkative says in an error what it could not install.
func talkative(w world.World) world.World {
	w.Deliver = chatty{w.Deliver}
	return w
}

type chatty struct{ deliver.Deliverer }

func (d chatty) Install(ctx context.Context, h cluster.Host, n node.Node, creds *node.Credentials, renew bool) error {
	err := d.Deliverer.Install(ctx, h, n, creds, renew)
	if err != nil && creds != nil {
		return fmt.Errorf("install %s: %w", creds.Peer.Key, err)
	}
	return err
}
