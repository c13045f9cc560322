package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

// standing is who was a member when a round began. Machines are all there are,
// members first, each part in the order of the hosts.
type standing struct {
	names    []string
	machines []*bed.Host
}

// standing reads from DNS who is a member, after a pleiad up that has shown
// that hosts and members agree with it.
func (w *world) standing(ctx context.Context) (s standing, err error) {
	zone, err := w.zone(ctx)
	if err != nil {
		return s, err
	}
	names, records := map[netip.Addr]string{}, addresses(zone)
	for _, r := range records {
		names[r.at] = r.name
	}
	var without []*bed.Host
	for _, h := range w.Hosts {
		if name, member := names[h.Addr]; member {
			s.names, s.machines = append(s.names, name), append(s.machines, h)
		} else {
			without = append(without, h)
		}
	}
	if len(s.names) != w.members || len(records) != w.members {
		return s, fmt.Errorf("want the addresses of %d members in DNS:\n%s", w.members, zone)
	}
	s.machines = append(s.machines, without...)
	return s, nil
}

// address is an A record of a member's.
type address struct {
	name string
	at   netip.Addr
}

// addresses are those in the cluster's domain.
func addresses(zone string) (out []address) {
	for _, found := range regexp.MustCompile(`(?m)^(\S+)\.`+regexp.QuoteMeta(domain)+`\s.*\sA\s+(\S+)$`).FindAllStringSubmatch(zone, -1) {
		at, _ := netip.ParseAddr(found[2]) // dig writes no other
		out = append(out, address{found[1], at})
	}
	return out
}

// whole waits until pleiad sees nothing to do, a cluster that clients find, and
// every member healthy. None of that changes anything; but a host that is slow to
// answer is unknown to one look, so that it looks until all have answered at
// once.
func (w *world) whole(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var before error
	for {
		now := w.look(ctx)
		if now == nil {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(now, before)
		}
		before = now
	}
}

func (w *world) look(ctx context.Context) error {
	for _, command := range []string{"plan", "health"} { // their exit codes say it
		if _, err := w.pleiad(ctx, command); err != nil {
			return err
		}
	}
	out, err := w.pleiad(ctx, "status", "--output", "json")
	if err != nil {
		return err
	}
	type member struct{ Name, Address, Health, Role, Detail string }
	var status struct {
		Phase string
		Hosts []member
		Drift []struct{ Where, What string }
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return fmt.Errorf("pleiad status: %w: %s", err, out)
	}
	sick := slices.ContainsFunc(status.Hosts, func(m member) bool {
		return m.Health != "healthy" || m.Role != "voter" && m.Role != "leader"
	})
	if sick || status.Phase != "sealed" || len(status.Drift) > 0 || len(status.Hosts) != w.members {
		return fmt.Errorf("want %d healthy voters and nothing else: %s with %+v, %v", w.members, status.Phase, status.Hosts, status.Drift)
	}
	return nil
}
