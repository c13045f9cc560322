package dnstest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

func failing() []Case {
	return []Case{
		{Name: "a context that is over", Run: failCancelled},
		{Name: "credentials that allow nothing", Run: failDenied, needs: func(h Harness) bool { return len(h.Denied) > 0 }},
		{Name: "a lost answer", Run: failLostAnswer, needs: func(h Harness) bool { return h.LoseAnswer != nil }},
		{Name: "a lost request", Run: failLostRequest, needs: func(h Harness) bool { return h.LoseRequest != nil }},
		{Name: "a server that says nothing", Run: failStalled, needs: func(h Harness) bool { return h.Stall != nil }},
		{Name: "a server that is down", Run: failDown, needs: func(h Harness) bool { return h.Down != nil }},
	}
}

func failCancelled(t *testing.T, h Harness) {
	apply(t, h.Zone, add(h.marker("gen=1")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Zone.Apply(ctx, []cluster.Change{replace(h.marker("gen=1"), h.marker("gen=2"))})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Apply: %v, want %v", err, context.Canceled)
	}
	if errors.Is(err, dns.ErrUnknownOutcome) {
		t.Errorf("Apply: %v, but nothing can have been sent", err)
	}
	if got, err := h.Zone.Read(ctx, []cluster.Key{h.marker("").Key}); !errors.Is(err, context.Canceled) || len(got.Sets) != 0 {
		t.Errorf("Read: %v, %v, want %v and no records", got, err, context.Canceled)
	}
	holds(t, h.Zone, h.marker("gen=1"))
}

func failDenied(t *testing.T, h Harness) {
	apply(t, h.Zone, add(h.marker("gen=1")))
	for why, denied := range h.Denied {
		t.Log(why)
		applyFails(t, t.Context(), denied, dns.ErrDenied, replace(h.marker("gen=1"), h.marker("gen=2")))
		applyFails(t, t.Context(), denied, dns.ErrDenied, add(h.host("etcd-aaaaaaaa", "192.0.2.1")))
	}
	compare(t, h.Zone, []cluster.RecordSet{h.marker("gen=1")}, []cluster.RecordSet{h.host("etcd-aaaaaaaa", "192.0.2.1")})
}

// The change was made. Sending it again finds its own work in the way, which
// is why an unknown outcome is observed, not retried (rule R12).
func failLostAnswer(t *testing.T, h Harness) {
	one, two := h.marker("gen=1"), h.marker("gen=2")
	apply(t, h.Zone, add(one))
	h.LoseAnswer()
	applyFails(t, t.Context(), h.Zone, dns.ErrUnknownOutcome, replace(one, two))
	holds(t, h.Zone, two)
	applyFails(t, t.Context(), h.Zone, dns.ErrConflict, replace(one, two))
}

func failLostRequest(t *testing.T, h Harness) {
	one, two := h.marker("gen=1"), h.marker("gen=2")
	apply(t, h.Zone, add(one))
	h.LoseRequest()
	applyFails(t, t.Context(), h.Zone, dns.ErrUnknownOutcome, replace(one, two))
	holds(t, h.Zone, one)
	apply(t, h.Zone, replace(one, two))
}

// stalled is how long a caller waits for a server that says nothing: it must be
// enough to connect and to send a message on a busy machine.
const stalled = time.Second

func failStalled(t *testing.T, h Harness) {
	apply(t, h.Zone, add(h.marker("gen=1")))
	h.Stall()
	ctx, cancel := context.WithTimeout(t.Context(), stalled)
	defer cancel()
	applyFails(t, ctx, h.Zone, dns.ErrUnknownOutcome, replace(h.marker("gen=1"), h.marker("gen=2")))
	ctx, cancel = context.WithTimeout(t.Context(), stalled)
	defer cancel()
	if got, err := h.Zone.Read(ctx, []cluster.Key{h.marker("").Key}); !errors.Is(err, context.DeadlineExceeded) || len(got.Sets) != 0 {
		t.Errorf("Read: %v, %v, want %v and no records", got, err, context.DeadlineExceeded)
	}
}

// A provider that can see the records without the server may still read them;
// what it must not do is to take them for absent.
func failDown(t *testing.T, h Harness) {
	marker := h.marker("gen=1")
	apply(t, h.Zone, add(marker))
	h.Down()
	applyFails(t, t.Context(), h.Zone, dns.ErrUnreachable, replace(marker, h.marker("gen=2")))
	got, err := h.Zone.Read(t.Context(), []cluster.Key{marker.Key})
	if set, ok := got.Get(marker.Key); err == nil && (!ok || !set.Equal(marker)) || err != nil && len(got.Sets) != 0 {
		t.Errorf("Read: %v, %v, want %v or an error without records", got, err, marker)
	}
}
