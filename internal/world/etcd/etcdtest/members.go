package etcdtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
)

// until makes a change until etcd does not refuse it any more. It wants its members
// to have been connected for five seconds (HealthInterval), a learner to have caught
// up, and a second to pass before a URL that was removed is added again.
func until(t *testing.T, change func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; <-tick.C {
		err := change()
		switch {
		case err == nil:
			return
		case !errors.Is(err, etcd.ErrRefused):
			t.Fatalf("%v, want success or %v", err, etcd.ErrRefused)
		case time.Since(began) > patience:
			t.Fatalf("still refused after %s: %v", patience, err)
		}
	}
}

// wants wants an error that is of one kind and no other.
func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	for _, kind := range []error{etcd.ErrRefused, etcd.ErrExists, etcd.ErrNotFound, etcd.ErrUnreachable, etcd.ErrUnknownOutcome, fault.UnknownOutcome, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, kind) != errors.Is(want, kind) {
			t.Errorf("%s: %v, want %v", what, err, want)
			return
		}
	}
}

// add adds the joiner.
func (w World) add(t *testing.T, via ...cluster.Host) (id cluster.MemberID) {
	t.Helper()
	until(t, func() (err error) {
		id, err = w.Changer.AddLearner(t.Context(), via, w.PeerURL)
		return err
	})
	return id
}

// elsewhere is a peer URL at another port than the joiner's. Of two additions of one
// URL within a second etcd makes one ID, and an ID that was removed is refused.
func (w World) elsewhere(t *testing.T, port int) string {
	t.Helper()
	u, err := url.Parse(w.PeerURL)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s://%s:%d", u.Scheme, u.Hostname(), port)
}

// entry is what all members that serve linearizable reads say of an ID at once: such
// a list has every change that was acknowledged before.
func (w World) entry(t *testing.T, id cluster.MemberID) (m cluster.Member, listed bool) {
	t.Helper()
	first := true
	for i, a := range w.ask(t) {
		if a.err != nil || a.view.Learner || a.view.Stalled != "" {
			continue
		}
		one, found := member(a.view, id)
		if !first && found != listed {
			t.Errorf("%s: member %s is listed: %t, others say %t", w.Hosts[i].Name, id, found, listed)
		}
		m, listed, first = one, found, false
	}
	if first {
		t.Error("nobody serves a linearizable read")
	}
	return m, listed
}

// leader is the index of the leader.
func leader(answers []answer) int {
	return slices.IndexFunc(answers, func(a answer) bool { return a.err == nil && a.view.ID == a.view.Leader })
}

// joins goes through the life of a member that is added to a cluster of three.
func joins(t *testing.T, w World) {
	born := w.begin(t)
	via, ctx := w.Hosts[:3], t.Context()
	id := w.add(t, via...)
	if m, listed := w.entry(t, id); !listed || m.Name != "" || !m.Learner || !slices.Equal(m.PeerURLs, []string{w.PeerURL}) || len(m.ClientURLs) > 0 {
		t.Errorf("added as %+v, listed: %t", m, listed)
	}
	_, err := w.Changer.AddLearner(ctx, via, w.PeerURL)
	wants(t, "add it twice", err, etcd.ErrExists)
	_, err = w.Changer.AddLearner(ctx, via, w.elsewhere(t, 1))
	wants(t, "add a second learner", err, etcd.ErrRefused)
	wants(t, "promote a learner that has not started", w.Changer.Promote(ctx, via, id), etcd.ErrRefused)

	list, _ := cluster.Membership([]cluster.View{w.ask(t)[0].view}, born[0].view.Cluster).Get()
	w.Join(t, list)
	all := []int{0, 1, 2, w.joiner()}
	learner := w.eventually(t, w.healthy(all...))[w.joiner()].view
	if learner.ID != id || learner.Cluster != born[0].view.Cluster || !learner.Learner || learner.Members != nil || learner.Applied == 0 {
		t.Errorf("the learner says %+v", learner)
	}
	_, err = w.Changer.AddLearner(ctx, w.Hosts[w.joiner():], w.elsewhere(t, 1))
	wants(t, "add through a learner", err, etcd.ErrUnreachable)

	until(t, func() error { return w.Changer.Promote(ctx, w.Hosts, id) })
	if m, listed := w.entry(t, id); !listed || m.Learner {
		t.Errorf("promoted to %+v, listed: %t", m, listed)
	}
	until(t, func() error { // refused as long as the leader does not know how far it is
		err := w.Changer.Promote(ctx, via, id)
		if errors.Is(err, etcd.ErrExists) {
			return nil
		}
		return err
	})
	voter := w.eventually(t, func(answers []answer) string {
		if lacking := w.healthy(all...)(answers); lacking != "" {
			return lacking
		}
		if v := answers[w.joiner()].view; v.Learner {
			return "a voter"
		} else if m, _ := member(v, id); m.Name != w.Hosts[w.joiner()].Name {
			return "its name in the list"
		}
		return ""
	})[w.joiner()].view
	if voter.ID != id || len(voter.Members) != 4 {
		t.Errorf("the voter says %+v", voter)
	}

	until(t, func() error { return w.Changer.Remove(ctx, via, id) })
	if m, listed := w.entry(t, id); listed {
		t.Errorf("removed, and listed as %+v", m)
	}
	until(t, func() error { // of the same URL, by another ID, within the same second or later
		again, err := w.Changer.AddLearner(ctx, via, w.PeerURL)
		if err == nil && again == id {
			t.Errorf("member %s is back", id)
		}
		return err
	})
	wants(t, "remove it twice", w.Changer.Remove(ctx, via, id), etcd.ErrNotFound)
	wants(t, "promote a removed member", w.Changer.Promote(ctx, via, id), etcd.ErrNotFound)
	wants(t, "move the leader to a removed member", w.Changer.MoveLeader(ctx, w.Hosts[leader(w.ask(t)):], id), etcd.ErrRefused)
	w.eventually(t, w.healthy(0, 1, 2)) // it has ended by itself
}

// leads moves the leader, and removes it.
func leads(t *testing.T, w World) {
	born := w.begin(t)
	ctx := t.Context()
	was, next, other := w.roles(t, born)
	to := born[next].view.ID
	wants(t, "move the leader through another member", w.Changer.MoveLeader(ctx, []cluster.Host{w.Hosts[next]}, to), etcd.ErrRefused)
	wants(t, "move the leader to nobody", w.Changer.MoveLeader(ctx, []cluster.Host{w.Hosts[was]}, to+1), etcd.ErrRefused)
	if err := w.Changer.MoveLeader(ctx, []cluster.Host{w.Hosts[was]}, to); err != nil {
		t.Fatal(err)
	}
	moved := w.eventually(t, w.healthy(w.founders()...))
	if v := moved[was].view; v.Leader != to {
		t.Errorf("the leader is %s, want %s", v.Leader, to)
	}

	until(t, func() error { return w.Changer.Remove(ctx, []cluster.Host{w.Hosts[next]}, to) })
	rest := w.eventually(t, w.healthy(was, other)) // and it has ended by itself
	for _, i := range []int{was, other} {
		if v := rest[i].view; len(v.Members) != 2 || v.Leader == to {
			t.Errorf("%s says %+v after %s was removed", w.Hosts[i].Name, v, to)
		}
	}
}

// strict is a cluster with a dead voter: etcd adds nobody before that is removed,
// and then does.
func strict(t *testing.T, w World) {
	born := w.begin(t)
	ctx := t.Context()
	lead, dead, other := w.roles(t, born)
	alive := []cluster.Host{w.Hosts[dead], w.Hosts[lead], w.Hosts[other]} // the dead one is passed over
	wants(t, "remove a learner", w.Changer.Remove(ctx, alive, w.add(t, alive...)), nil)
	w.Stop(t, dead)
	// A member learns of it in its own time.
	for began, port := time.Now(), 1; ; port++ {
		id, err := w.Changer.AddLearner(ctx, alive, w.elsewhere(t, port))
		if err != nil {
			wants(t, "add a learner", err, etcd.ErrRefused)
			break
		}
		if time.Since(began) > patience {
			t.Fatalf("still added after %s", patience)
		}
		wants(t, "remove a learner", w.Changer.Remove(ctx, alive, id), nil)
	}
	wants(t, "remove a voter that runs", w.Changer.Remove(ctx, alive, born[other].view.ID), etcd.ErrRefused)
	wants(t, "remove the dead voter", w.Changer.Remove(ctx, alive, born[dead].view.ID), nil)
	if m, listed := w.entry(t, w.add(t, alive...)); !listed || !m.Learner {
		t.Errorf("added as %+v, listed: %t", m, listed)
	}
}

// nobody asks members that cannot change the list.
func nobody(t *testing.T, w World) {
	all := func(ctx context.Context) []error {
		_, err := w.Changer.AddLearner(ctx, w.Hosts[:3], w.PeerURL)
		return []error{err, w.Changer.Promote(ctx, w.Hosts[:3], 1), w.Changer.Remove(ctx, w.Hosts[:3], 1), w.Changer.MoveLeader(ctx, w.Hosts[:3], 1)}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range all(cancelled) {
		wants(t, "with a cancelled context", err, context.Canceled)
	}
	for _, err := range all(t.Context()) {
		wants(t, "nobody runs", err, etcd.ErrUnreachable)
	}
	wants(t, "there is nobody to ask", w.Changer.Remove(t.Context(), nil, 1), etcd.ErrUnreachable)

	// One that is not ready accepts connections and answers nothing.
	w.Start(t, 0)
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	wants(t, "with a deadline", w.Changer.Remove(short, w.Hosts[:1], 1), context.DeadlineExceeded)
	patient, cancel := context.WithTimeout(t.Context(), few)
	defer cancel()
	wants(t, "with a distant deadline", w.Changer.Remove(patient, w.Hosts[:1], 1), etcd.ErrUnreachable)
	if patient.Err() != nil {
		t.Errorf("with a distant deadline it took %s", few)
	}

	// One without a leader says so.
	w.Start(t, 1)
	w.Start(t, 2)
	w.eventually(t, w.agreed)
	w.Stop(t, 1)
	w.Stop(t, 2)
	w.eventually(t, func(answers []answer) string {
		if answers[0].view.Leader != 0 {
			return "no leader"
		}
		return ""
	})
	wants(t, "without a leader", w.Changer.Remove(t.Context(), w.Hosts[:1], 1), etcd.ErrUnreachable)
}
