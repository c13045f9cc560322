package dnstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

func racing() []Case {
	return []Case{
		{Name: "one of many claims wins", Run: raceClaim},
		{Name: "no increment of the marker is lost", Run: raceIncrement},
		{Name: "a snapshot is of one moment", Run: raceSnapshot, needs: rivals},
	}
}

const writers, increments = 8, 10

// each runs one function per writer at the same time, half of them as the
// rival if there is one, and reports their errors.
func each(t *testing.T, h Harness, f func(writer int, z dns.Zone) error) {
	t.Helper()
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		z := h.Zone
		if i%2 == 1 && h.Rival != nil {
			z = h.Rival
		}
		wg.Go(func() { errs[i] = f(i, z) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func raceClaim(t *testing.T, h Harness) {
	won := make([]bool, writers)
	claim := func(i int) cluster.RecordSet { return h.marker(fmt.Sprintf("owner=%d", i)) }
	each(t, h, func(i int, z dns.Zone) error {
		_, err := z.Apply(t.Context(), []cluster.Change{add(claim(i))})
		won[i] = err == nil
		if errors.Is(err, dns.ErrConflict) {
			return nil
		}
		return err
	})
	winner := -1
	for i, w := range won {
		if w && winner >= 0 {
			t.Errorf("both %d and %d won", winner, i)
		}
		if w {
			winner = i
		}
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	holds(t, h.Zone, claim(winner))
}

func raceIncrement(t *testing.T, h Harness) {
	apply(t, h.Zone, add(h.marker("0")))
	each(t, h, func(_ int, z dns.Zone) error {
		for range increments {
			if err := increment(t.Context(), h, z); err != nil {
				return err
			}
		}
		return nil
	})
	holds(t, h.Zone, h.marker(fmt.Sprint(writers*increments)))
}

// increment adds one to the marker as any writer should: on a conflict it
// observes again. Each conflict means that another writer got ahead, so the
// loop ends without a pause.
func increment(ctx context.Context, h Harness, z dns.Zone) error {
	for {
		records, err := z.Read(ctx, []cluster.Key{h.marker("").Key})
		if err != nil {
			return err
		}
		old, ok := records.Get(h.marker("").Key)
		if !ok {
			return errors.New("the marker is gone")
		}
		var n int
		if _, err := fmt.Sscan(old.Values[0], &n); err != nil {
			return err
		}
		if _, err = z.Apply(ctx, []cluster.Change{replace(old, h.marker(fmt.Sprint(n+1)))}); !errors.Is(err, dns.ErrConflict) {
			return err
		}
	}
}

// The rival moves the marker and a host together; a reading that shows one
// without the other is torn. While the zone moves, a reading may fail.
func raceSnapshot(t *testing.T, h Harness) {
	const rounds = 60
	marker := func(n int) cluster.RecordSet { return h.marker(fmt.Sprint(n)) }
	host := func(n int) cluster.RecordSet { return h.host("etcd-aaaaaaaa", fmt.Sprintf("192.0.2.%d", n)) }
	apply(t, h.Rival, add(marker(0)), add(host(0)))
	done := make(chan error, 1)
	go func() {
		for n := range rounds {
			if _, err := h.Rival.Apply(t.Context(), []cluster.Change{replace(marker(n), marker(n+1)), replace(host(n), host(n+1))}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		got, err := h.Zone.Read(t.Context(), []cluster.Key{host(0).Key, marker(0).Key})
		if err == nil && (len(got.Sets) != 2 || got.Sets[1].Values[0] != "192.0.2."+got.Sets[0].Values[0]) {
			t.Errorf("a torn snapshot: %v", got)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			holds(t, h.Zone, marker(rounds), host(rounds))
			return
		default:
		}
	}
}
