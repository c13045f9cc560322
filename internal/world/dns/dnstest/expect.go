package dnstest

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// apply makes changes that must succeed.
func apply(t *testing.T, z dns.Zone, changes ...cluster.Change) dns.Receipt {
	t.Helper()
	r, err := z.Apply(t.Context(), changes)
	if err != nil {
		t.Fatalf("Apply %v: %v", changes, err)
	}
	return r
}

// applyFails makes changes that must fail with one kind of error, or, for nil,
// with an error of none of the kinds that speak of the server.
func applyFails(t *testing.T, ctx context.Context, z dns.Zone, kind error, changes ...cluster.Change) {
	t.Helper()
	_, err := z.Apply(ctx, changes)
	if err == nil {
		t.Fatalf("Apply %v: no error, want %v", changes, kind)
	}
	for _, k := range []error{dns.ErrConflict, dns.ErrDenied, dns.ErrUnknownOutcome, dns.ErrUnreachable} {
		if errors.Is(err, k) != (k == kind) {
			t.Errorf("Apply %v: %v; is %q: %v", changes, err, k, errors.Is(err, k))
		}
	}
}

// holds reads the keys of some sets and demands exactly these sets, TTLs
// included.
func holds(t *testing.T, z dns.Zone, want ...cluster.RecordSet) {
	t.Helper()
	compare(t, z, want, nil)
}

// lacks demands that none of the sets' keys exists.
func lacks(t *testing.T, z dns.Zone, sets ...cluster.RecordSet) {
	t.Helper()
	compare(t, z, nil, sets)
}

func compare(t *testing.T, z dns.Zone, there, absent []cluster.RecordSet) {
	t.Helper()
	got := read(t, z, append(keys(absent), keys(there)...)...)
	want := cluster.Records{}.With(changesTo(there))
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func read(t *testing.T, z dns.Zone, keys ...cluster.Key) cluster.Records {
	t.Helper()
	got, err := z.Read(t.Context(), keys)
	if err != nil {
		t.Fatalf("Read %v: %v", keys, err)
	}
	return got
}

func keys(sets []cluster.RecordSet) []cluster.Key {
	out := make([]cluster.Key, len(sets))
	for i, s := range sets {
		out[i] = s.Key
	}
	return out
}

func changesTo(sets []cluster.RecordSet) []cluster.Change {
	out := make([]cluster.Change, len(sets))
	for i, s := range sets {
		out[i] = add(s)
	}
	return out
}
