// Package apply is the fourth of five stages: it carries out one step, and is
// the only writer. It decides nothing: what a step needs is in the step, and
// if the world has changed since it was planned, it does not act but
// reports a conflict, so that the loop observes again (rule R11).
package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// Limits on one step. They end a step that hangs; a step that was cut short is
// observed, not repeated blindly (rule R12).
const (
	limit = 2 * time.Minute
	// await is how long AwaitMembers waits before the loop looks at the rest
	// of the world again.
	await = 5 * time.Second
	// pause between two questions to a member that does not serve yet.
	pause = 20 * time.Millisecond
)

// Step carries out one step. tell is called with what the step waits for, when
// that changes.
func Step(ctx context.Context, spec cluster.Spec, w world.World, s plan.Step, tell func(string)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done within %s", limit))
	defer cancel()
	if err := do(ctx, spec, w, s, tell); err != nil {
		return fmt.Errorf("%s: %w", plan.String(s), err)
	}
	return nil
}

func do(ctx context.Context, spec cluster.Spec, w world.World, s plan.Step, tell func(string)) error {
	switch s := s.(type) {
	case plan.StartNameServer:
		return w.Server.Start(ctx)
	case plan.CreateAuthority:
		return w.Authority.Create(ctx, s.Owner, spec.TLS)
	case plan.RenewOperator:
		return w.Authority.RenewOperator(ctx)
	case plan.AddLearner, plan.PromoteLearner, plan.RemoveMember, plan.MoveLeader:
		return change(ctx, w, s, tell)
	case plan.ChangeRecords:
		if err := rest(ctx, w, s, tell); err != nil {
			return err
		}
		receipt, err := w.DNS.Apply(ctx, s.Changes)
		if err != nil {
			return err
		}
		return w.DNS.Settled(ctx, receipt)
	case plan.LaunchHost:
		if err := stands(ctx, w, s.Marker); err != nil {
			return err
		}
		return w.Hosts.Launch(ctx, s.Member, s.Token, s.Others...)
	case plan.AwaitHost:
		return w.Hosts.Await(ctx, s.Host, tell)
	case plan.InstallNode:
		return install(ctx, w, s)
	case plan.RevertNode:
		return w.Deliver.Revert(ctx, s.Host)
	case plan.StartMember:
		return start(ctx, w, s)
	case plan.AwaitMembers:
		return awaitAll(ctx, w, s.Hosts, tell)
	case plan.AwaitRecords:
		return awaitRecords(ctx, w, s.Records, tell)
	case plan.StopMember:
		if s.Marker != nil {
			if err := stands(ctx, w, *s.Marker); err != nil {
				return err
			}
		}
		return w.Deliver.Stop(ctx, s.Host, s.Grace)
	case plan.TerminateHost:
		return terminate(ctx, w, s)
	case plan.RemoveNameServer:
		return removeServer(ctx, w, s.Marker)
	case plan.Forget:
		if err := unmarked(ctx, w, s.Marker); err != nil {
			return err
		}
		return w.Authority.Forget(ctx)
	}
	return fmt.Errorf("unknown step %T", s)
}

// change changes etcd's member list, if the marker still names that change (rule R4).
func change(ctx context.Context, w world.World, s plan.Step, tell func(string)) error {
	var c plan.Change
	var do func() error
	switch s := s.(type) {
	case plan.AddLearner:
		c, do = s.Change, func() error {
			_, err := w.Members.AddLearner(ctx, s.Via, s.PeerURL)
			return err
		}
	case plan.PromoteLearner:
		c, do = s.Change, func() error { return w.Members.Promote(ctx, s.Via, s.ID) }
	case plan.RemoveMember:
		c, do = s.Change, func() error { return w.Members.Remove(ctx, s.Via, s.ID) }
	case plan.MoveLeader:
		c, do = s.Change, func() error { return w.Members.MoveLeader(ctx, s.Via, s.To) }
	}
	attempt := func() error {
		if err := stands(ctx, w, c.Marker); err != nil {
			return err
		}
		return do()
	}
	if _, moves := s.(plan.MoveLeader); moves { // it may have moved already
		return attempt()
	}
	return untilAllowed(ctx, attempt, tell)
}

// refusing is how long etcd may refuse a change: it does for five seconds after
// members were connected (server/etcdserver/server.go, HealthInterval).
const refusing = 8 * time.Second

// untilAllowed asks again as long as etcd refuses, or until it is time to look at the
// rest of the world. What is refused has changed nothing. Each attempt looks at the
// marker first: another controller may have given the change up meanwhile.
func untilAllowed(ctx context.Context, attempt func() error, tell func(string)) error {
	end, told := time.Now().Add(refusing), ""
	for {
		err := attempt()
		if !errors.Is(err, etcd.ErrRefused) || !time.Now().Before(end) {
			return err
		}
		if err.Error() != told {
			told = err.Error()
			tell(told)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pauseDNS):
		}
	}
}

// rest waits until caches have forgotten what a change takes away (rule R8), or until
// what another controller has sent has arrived (rule R5). Afterwards the member in
// While, if there is one, must still serve.
func rest(ctx context.Context, w world.World, s plan.ChangeRecords, tell func(string)) error {
	if s.Rests == 0 {
		return nil
	}
	if s.While == nil {
		tell(fmt.Sprintf("for %s, as long as a cache may hold a service that names it", s.Rests))
	} else {
		tell(fmt.Sprintf("for %s, lest another controller is about to stop %s", s.Rests, s.While.Name))
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(s.Rests):
	}
	if s.While == nil {
		return nil
	}
	if v, err := w.Etcd.View(ctx, *s.While); err != nil || !v.Serves() {
		return fmt.Errorf("%s does not serve any more: %w", s.While.Name, errors.Join(dns.ErrConflict, err))
	}
	return nil
}

// terminate looks once more whether the member runs: not every provider can see
// that, and another controller may have started it since this was planned.
func terminate(ctx context.Context, w world.World, s plan.TerminateHost) error {
	if err := stands(ctx, w, s.Marker); err != nil {
		return err
	}
	if s.Host.Blank { // nobody can have looked into it, nor put a member on it
		return w.Hosts.Terminate(ctx, s.Host, hosts.DataFate(s.KeepData))
	}
	found, err := w.Deliver.Inspect(ctx, s.Host)
	if err != nil {
		return err
	}
	if found.Process.Running {
		return hosts.ErrBusy
	}
	return w.Hosts.Terminate(ctx, s.Host, hosts.DataFate(s.KeepData))
}

// removeServer stops the name server before it looks: from then on nobody can
// claim a marker in the zone that is about to be deleted.
func removeServer(ctx context.Context, w world.World, marker cluster.Key) error {
	if err := w.Server.Stop(ctx); err != nil {
		return err
	}
	if err := unmarked(ctx, w, marker); err != nil {
		return err
	}
	return w.Server.Remove(ctx)
}

// unmarked makes sure that nobody has claimed the cluster's name meanwhile.
func unmarked(ctx context.Context, w world.World, marker cluster.Key) error {
	r, err := w.DNS.Read(ctx, []cluster.Key{marker})
	if err != nil {
		return fmt.Errorf("read the marker again: %w", err)
	}
	if _, ok := r.Get(marker); ok {
		return fmt.Errorf("there is a marker again: %w", dns.ErrConflict)
	}
	return nil
}

// stands checks that the marker is still the one a step was planned with:
// between planning and acting, another controller may have destroyed the
// cluster, and what is made now would be leaked.
func stands(ctx context.Context, w world.World, marker cluster.RecordSet) error {
	r, err := w.DNS.Read(ctx, []cluster.Key{marker.Key})
	if err != nil {
		return fmt.Errorf("read the marker again: %w", err)
	}
	if now, _ := r.Get(marker.Key); !samePhase(now, marker) {
		return fmt.Errorf("the marker has moved on: %w", dns.ErrConflict)
	}
	return nil
}

// samePhase compares two markers by owner, incarnation, phase, published list and
// operation: a newer generation alone is another controller at the same work,
// which is harmless. But once the list is published a missing host is a lost one
// (rule R6), and with another operation another member may be stopped (R5).
func samePhase(now, planned cluster.RecordSet) bool {
	a, err := cluster.ReadMarker(now)   // or absent
	b, _ := cluster.ReadMarker(planned) // the planner has read it
	return err == nil && a.Owner == b.Owner && a.Token == b.Token && a.Phase == b.Phase && a.ID == b.ID && a.Op == b.Op
}

// install looks once more before a certificate is changed: another controller
// may have done that, and be at the next one, or have started the member (R5).
func install(ctx context.Context, w world.World, s plan.InstallNode) error {
	if !s.Issue {
		return w.Deliver.Install(ctx, s.Host, s.Node, nil, s.Renew)
	}
	found, err := w.Deliver.Inspect(ctx, s.Host)
	if err != nil {
		return err
	}
	was := s.Host.Node.Or(cluster.Node{})
	if a, b := found.Certificate, was.Certificate; found.Process.Running != was.Process.Running || (a == nil) != (b == nil) || a != nil && *a != *b {
		return fmt.Errorf("the member or its certificate has changed since this was planned: %w", dns.ErrConflict)
	}
	creds, err := w.Authority.Issue(ctx, s.Node.Name, s.Node.Names)
	if err != nil {
		return err
	}
	return w.Deliver.Install(ctx, s.Host, s.Node, &creds, s.Renew)
}

// start looks once more at what is about to be started: a data directory that
// is not what it was when the step was planned is not started (rule R6), and a
// first start needs the marker it was planned with (rule R2).
func start(ctx context.Context, w world.World, s plan.StartMember) error {
	if s.Marker != nil {
		if err := stands(ctx, w, *s.Marker); err != nil {
			return err
		}
	}
	found, err := w.Deliver.Inspect(ctx, s.Host)
	if err != nil {
		return err
	}
	if found.Data != s.Host.Node.Or(cluster.Node{}).Data {
		return fmt.Errorf("the data directory has changed since this was planned: %w", dns.ErrConflict)
	}
	return w.Deliver.Start(ctx, s.Host)
}

// pauseDNS between two questions to name servers that are behind.
const pauseDNS = 200 * time.Millisecond

// awaitRecords asks the name servers until none shows another list, or until it
// is time to look at the rest of the world; that is no error.
func awaitRecords(ctx context.Context, w world.World, want cluster.Records, tell func(string)) error {
	end := time.Now().Add(await)
	told := ""
	var keys []cluster.Key
	for _, set := range want.Sets {
		keys = append(keys, set.Key)
	}
	for {
		v, err := w.Authoritatives.Compare(ctx, keys, want)
		behind := v.Behind()
		switch {
		case err != nil:
			return err
		case len(behind) == 0 || !time.Now().Before(end):
			return ctx.Err()
		}
		if waiting := fmt.Sprintf("%s (%s): %s", behind[0].Name, behind[0].Address, behind[0].Behind[0]); waiting != told {
			told = waiting
			tell(waiting)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pauseDNS):
		}
	}
}

// awaitAll asks the members until all of them serve, or until it is time to
// look at the rest of the world; that is no error.
func awaitAll(ctx context.Context, w world.World, hosts []cluster.Host, tell func(string)) error {
	end := time.Now().Add(await)
	told := ""
	for {
		waiting := firstWaiting(ctx, w, hosts)
		if waiting == "" || !time.Now().Before(end) {
			return ctx.Err()
		}
		if waiting != told {
			told = waiting
			tell(waiting)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// firstWaiting says what the first member that does not serve waits for.
func firstWaiting(ctx context.Context, w world.World, hosts []cluster.Host) string {
	for _, h := range hosts {
		n, err := w.Deliver.Inspect(ctx, h)
		switch {
		case err != nil:
			return string(h.Name) + ": " + err.Error()
		case !n.Process.Running:
			return "" // it ended: only a new plan can help
		case n.Process.Gate != "":
			return string(h.Name) + " waits at its gate: " + n.Process.Gate
		}
		asking, cancel := context.WithTimeout(ctx, time.Second)
		v, err := w.Etcd.View(asking, h)
		cancel()
		if err != nil || !v.Serves() {
			return string(h.Name) + " is not serving yet"
		}
	}
	return ""
}
