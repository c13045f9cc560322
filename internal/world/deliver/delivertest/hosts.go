package delivertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

func testManyHosts(t *testing.T, w World) {
	d := w.Deliverer()
	var list []*stage
	for i := range 3 {
		s := &stage{T: t, world: w, d: d, host: w.Host(cluster.MemberName(fmt.Sprintf("etcd-aaaaaa%d", i)))}
		w.Behave(s.host, Behaviour{})
		t.Cleanup(func() {
			if err := d.Stop(context.WithoutCancel(t.Context()), s.host, grace); err != nil {
				t.Errorf("Stop at the end: %v", err)
			}
		})
		list = append(list, s)
	}
	each := func(act string, f func(*stage) error) {
		t.Helper()
		errs := make([]error, len(list))
		var group sync.WaitGroup
		for i, s := range list {
			group.Go(func() { errs[i] = f(s) })
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatalf("%s at once: %v", act, err)
		}
	}
	each("Install", func(s *stage) error { return d.Install(t.Context(), s.host, rendered(s.host, 0), nil, false) })
	each("Start", func(s *stage) error { return d.Start(t.Context(), s.host) })
	list[1].stop()
	for i, s := range list {
		if n := s.inspect(); n.Process.Running != (i != 1) {
			t.Errorf("host %d: process is %+v after only host 1 was stopped", i, n.Process)
		}
	}
}

func testCancelled(t *testing.T, w World) {
	s, before := started(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, inspected := s.d.Inspect(ctx, s.host)
	for act, err := range map[string]error{
		"Inspect": inspected,
		"Install": s.d.Install(ctx, s.host, rendered(s.host, 1), nil, false),
		"Start":   s.d.Start(ctx, s.host),
		"Stop":    s.d.Stop(ctx, s.host, grace),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", act, err)
		}
	}
	wantSame(t, "the host", s.inspect(), before)
}
