// Package trace shows every call that leaves pleiad: what, to whom, how long
// it took and how it ended. It wraps a world.World in another one, so that
// neither the loop nor the providers know of it; `-v` prints what it reports.
//
// [World] is all there is. It promises to change nothing: arguments, results
// and errors pass through as they are, and a nil Server stays nil. It never
// reports keys or certificates (rule R15): of credentials and authorities it
// tells only whose they are. Records are public and are told in full.
package trace

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/authority"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// Call is one call that has ended.
type Call struct {
	// Began is when it began and Took how long it took.
	Began time.Time
	Took  time.Duration
	// Whom was asked: "name server 192.0.2.53", "host etcd-k3v9qd2m".
	Whom string
	// What was asked for.
	What string
	// Answer is what came back, in a few words; empty if Err is not nil.
	Answer string
	Err    error
}

// String is the call on one line.
func (c Call) String() string {
	outcome := c.Answer
	if c.Err != nil {
		outcome = "error: " + c.Err.Error()
	}
	return fmt.Sprintf("%s: %s: %s (%.1fms)", c.Whom, c.What, outcome, float64(c.Took.Microseconds())/1000)
}

// World wraps w so that report is called with every call that has ended, from
// several goroutines at once. server says who is asked for records.
func World(w world.World, server string, report func(Call)) world.World {
	t := tracer{report: report}
	w.DNS = zone{w.DNS, t, server}
	if w.Server != nil {
		w.Server = nameServer{w.Server, t}
	}
	if w.Authoritatives != nil {
		w.Authoritatives = authoritatives{w.Authoritatives, t}
	}
	w.Hosts = provider{w.Hosts, t}
	w.Deliver = deliverer{w.Deliver, t}
	w.Etcd = inspector{w.Etcd, t}
	w.Members = changer{w.Members, t}
	w.Authority = keeper{w.Authority, t}
	return w
}

type tracer struct{ report func(Call) }

// done reports a call; it is deferred with the pointers to what will be
// returned.
func (t tracer) done(began time.Time, whom, what string, answer func() string, err *error) {
	c := Call{Began: began, Took: time.Since(began), Whom: whom, What: what, Err: *err}
	if c.Err == nil {
		c.Answer = answer()
	}
	t.report(c)
}

func ok() string { return "ok" }

type zone struct {
	dns.Zone
	tracer
	whom string
}

func (z zone) Read(ctx context.Context, keys []cluster.Key) (r cluster.Records, err error) {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Name + " " + string(k.Type)
	}
	defer z.done(time.Now(), z.whom, "read "+strings.Join(names, ", "), func() string {
		sets := make([]string, len(r.Sets))
		for i, s := range r.Sets {
			sets[i] = s.String()
		}
		return fmt.Sprintf("%d exist: %s", len(sets), strings.Join(sets, ", "))
	}, &err)
	return z.Zone.Read(ctx, keys)
}

func (z zone) Apply(ctx context.Context, changes []cluster.Change) (receipt dns.Receipt, err error) {
	texts := make([]string, len(changes))
	for i, c := range changes {
		texts[i] = c.String()
	}
	defer z.done(time.Now(), z.whom, "apply "+strings.Join(texts, "; "), ok, &err)
	return z.Zone.Apply(ctx, changes)
}

func (z zone) Settled(ctx context.Context, r dns.Receipt) (err error) {
	defer z.done(time.Now(), z.whom, "settle", ok, &err)
	return z.Zone.Settled(ctx, r)
}

type nameServer struct {
	dns.Server
	tracer
}

const ownServer = "name server process"

func (n nameServer) Status(ctx context.Context) (s cluster.NameServer, err error) {
	defer n.done(time.Now(), ownServer, "status", func() string {
		if s.Running {
			return "runs at " + s.Address
		}
		return "does not run"
	}, &err)
	return n.Server.Status(ctx)
}

func (n nameServer) Start(ctx context.Context) (err error) {
	defer n.done(time.Now(), ownServer, "start", ok, &err)
	return n.Server.Start(ctx)
}

func (n nameServer) Stop(ctx context.Context) (err error) {
	defer n.done(time.Now(), ownServer, "stop", ok, &err)
	return n.Server.Stop(ctx)
}

func (n nameServer) Remove(ctx context.Context) (err error) {
	defer n.done(time.Now(), ownServer, "remove", ok, &err)
	return n.Server.Remove(ctx)
}

type authoritatives struct {
	dns.Authoritatives
	tracer
}

func (a authoritatives) Compare(ctx context.Context, keys []cluster.Key, want cluster.Records) (v cluster.Visibility, err error) {
	defer a.done(time.Now(), "name servers of the zone", "compare", func() string {
		return fmt.Sprintf("%d servers, %d behind, %d not asked", len(v.Servers), len(v.Behind()), len(v.Unknown()))
	}, &err)
	return a.Authoritatives.Compare(ctx, keys, want)
}

type provider struct {
	hosts.Provider
	tracer
}

func (p provider) List(ctx context.Context) (l hosts.Listing, err error) {
	defer p.done(time.Now(), "hosts", "list", func() string { return listed(l) }, &err)
	return p.Provider.List(ctx)
}

func (p provider) At(ctx context.Context, addresses []netip.Addr) (l hosts.Listing, err error) {
	defer p.done(time.Now(), "hosts", fmt.Sprintf("look at %v, outside the spec", addresses), func() string { return listed(l) }, &err)
	return p.Provider.At(ctx, addresses)
}

func listed(l hosts.Listing) string {
	var seen []string
	for _, h := range l.Hosts {
		seen = append(seen, fmt.Sprintf("%s at %s", h.Name, h.Address))
	}
	for _, place := range l.Places {
		seen = append(seen, fmt.Sprintf("place %s: %s", place, cmp.Or(place.Unknown, place.Taken, "free")))
	}
	return fmt.Sprintf("%d: %s", len(l.Hosts), strings.Join(seen, ", "))
}

func (p provider) Launch(ctx context.Context, name cluster.MemberName, token cluster.Token, others ...netip.Addr) (err error) {
	defer p.done(time.Now(), "hosts", fmt.Sprintf("launch %s for incarnation %s", name, token), ok, &err)
	return p.Provider.Launch(ctx, name, token, others...)
}

func (p provider) Await(ctx context.Context, h cluster.Host, tell func(string)) (err error) {
	defer p.done(time.Now(), "hosts", "await "+string(h.Name), ok, &err)
	return p.Provider.Await(ctx, h, tell)
}

func (p provider) Terminate(ctx context.Context, h cluster.Host, fate hosts.DataFate) (err error) {
	what := "terminate " + string(h.Name)
	if fate == hosts.KeepData {
		what += " and keep its data"
	}
	defer p.done(time.Now(), "hosts", what, ok, &err)
	return p.Provider.Terminate(ctx, h, fate)
}

func (p provider) Trace(ctx context.Context) (found []cluster.Host, err error) {
	defer p.done(time.Now(), "hosts", "trace members without a host", func() string { return fmt.Sprintf("%d", len(found)) }, &err)
	return p.Provider.Trace(ctx)
}

type deliverer struct {
	deliver.Deliverer
	tracer
}

func (d deliverer) Inspect(ctx context.Context, h cluster.Host) (n cluster.Node, err error) {
	defer d.done(time.Now(), "host "+string(h.Name), "inspect", func() string {
		return fmt.Sprintf("installed %q, data %t, born %t, older %t, running %t, gate %q, exit %q",
			n.Installed, n.Data.Present, n.Data.Born, n.Data.Older, n.Process.Running, n.Process.Gate, n.Process.Exit)
	}, &err)
	return d.Deliverer.Inspect(ctx, h)
}

func (d deliverer) Install(ctx context.Context, h cluster.Host, n node.Node, creds *node.Credentials, renew bool) (err error) {
	what := "install node " + n.Digest()
	if creds != nil {
		what += " with a new certificate"
	}
	if renew {
		what += " and this program"
	}
	defer d.done(time.Now(), "host "+string(h.Name), what, ok, &err)
	return d.Deliverer.Install(ctx, h, n, creds, renew)
}

func (d deliverer) Revert(ctx context.Context, h cluster.Host) (err error) {
	defer d.done(time.Now(), "host "+string(h.Name), "revert to what it started with before", ok, &err)
	return d.Deliverer.Revert(ctx, h)
}

func (d deliverer) Start(ctx context.Context, h cluster.Host) (err error) {
	defer d.done(time.Now(), "host "+string(h.Name), "start member", ok, &err)
	return d.Deliverer.Start(ctx, h)
}

func (d deliverer) Stop(ctx context.Context, h cluster.Host, grace time.Duration) (err error) {
	defer d.done(time.Now(), "host "+string(h.Name), "stop member", ok, &err)
	return d.Deliverer.Stop(ctx, h, grace)
}

type inspector struct {
	etcd.Inspector
	tracer
}

func (i inspector) Shown(ctx context.Context, h cluster.Host) (c cluster.Certificate, err error) {
	defer i.done(time.Now(), "member "+string(h.Name), "handshake", func() string {
		return "certificate until " + c.NotAfter.UTC().Format(time.DateOnly)
	}, &err)
	return i.Inspector.Shown(ctx, h)
}

func (i inspector) Heard(ctx context.Context, h cluster.Host) (peers []cluster.MemberID, err error) {
	defer i.done(time.Now(), "member "+string(h.Name), "peers it hears", func() string { return fmt.Sprint(peers) }, &err)
	return i.Inspector.Heard(ctx, h)
}

func (i inspector) View(ctx context.Context, h cluster.Host) (v cluster.View, err error) {
	whom := fmt.Sprintf("member %s at %s:%d", h.Name, h.Address, h.Ports.Client)
	defer i.done(time.Now(), whom, "view", func() string {
		return fmt.Sprintf("member %s of cluster %s, leader %s, revision %d, %d members, healthy %t", v.ID, v.Cluster, v.Leader, v.Revision, len(v.Members), v.Healthy())
	}, &err)
	return i.Inspector.View(ctx, h)
}

type changer struct {
	etcd.Changer
	tracer
}

func (c changer) AddLearner(ctx context.Context, via []cluster.Host, peerURL string) (id cluster.MemberID, err error) {
	defer c.done(time.Now(), first(via), "add learner "+peerURL, func() string { return "member " + id.String() }, &err)
	return c.Changer.AddLearner(ctx, via, peerURL)
}

func (c changer) Promote(ctx context.Context, via []cluster.Host, id cluster.MemberID) (err error) {
	defer c.done(time.Now(), first(via), "promote member "+id.String(), ok, &err)
	return c.Changer.Promote(ctx, via, id)
}

func (c changer) Remove(ctx context.Context, via []cluster.Host, id cluster.MemberID) (err error) {
	defer c.done(time.Now(), first(via), "remove member "+id.String(), ok, &err)
	return c.Changer.Remove(ctx, via, id)
}

func (c changer) MoveLeader(ctx context.Context, via []cluster.Host, to cluster.MemberID) (err error) {
	defer c.done(time.Now(), first(via), "move the leader to member "+to.String(), ok, &err)
	return c.Changer.MoveLeader(ctx, via, to)
}

// first is whom a change is sent through: the first of these that answers.
func first(via []cluster.Host) string {
	names := make([]string, len(via))
	for i, h := range via {
		names[i] = string(h.Name)
	}
	return "first member of " + strings.Join(names, ", ")
}

type keeper struct {
	authority.Authority
	tracer
}

const store = "state directory"

func (k keeper) Inspect(ctx context.Context) (c cluster.Control, err error) {
	defer k.done(time.Now(), store, "inspect authority", func() string {
		return fmt.Sprintf("owner %q, CA %q", c.Owner, c.CA)
	}, &err)
	return k.Authority.Inspect(ctx)
}

func (k keeper) Create(ctx context.Context, owner cluster.Owner, tls bool) (err error) {
	defer k.done(time.Now(), store, "create authority", ok, &err)
	return k.Authority.Create(ctx, owner, tls)
}

func (k keeper) RenewOperator(ctx context.Context) (err error) {
	defer k.done(time.Now(), store, "renew the operator's certificate", ok, &err)
	return k.Authority.RenewOperator(ctx)
}

func (k keeper) Issue(ctx context.Context, name cluster.MemberName, names []string) (creds node.Credentials, err error) {
	defer k.done(time.Now(), store, fmt.Sprintf("issue certificates of %s for %s", name, strings.Join(names, ", ")), ok, &err)
	return k.Authority.Issue(ctx, name, names)
}

func (k keeper) Forget(ctx context.Context) (err error) {
	defer k.done(time.Now(), store, "forget", ok, &err)
	return k.Authority.Forget(ctx)
}
