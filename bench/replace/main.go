// Command replace measures what the exchange of members costs, on this machine:
//
//   - how long it takes from the decision to verified full strength after a
//     member was killed and its data removed: `pleiad up --yes`, against the
//     shortest sequence by hand (remove, add as a learner, start, promote; no DNS,
//     no delivery of certificates) on etcd that was set up by hand: with etcdctl, as
//     a script does it, and by a Go program that connects once;
//
//   - what clients notice of a rolling restart, an exchange, growing from 3 to 5
//     members, shrinking back, and of a leader that is killed; beside it one more
//     member and a killed leader where etcd was set up by hand.
//
// Five runs, or one with the steps of the way to full strength and their times:
//
//	go run ./bench/replace
//	go run ./bench/replace -runs 1 -steps
//
// Each run has clusters of its own. 200 writes a second go on all the while,
// whether those before were acknowledged or not, through a client that finds the
// cluster by its SRV records (package discovery/etcdclient). The gap is the longest
// time in which none was acknowledged; the slowest write is the longest that one of
// them waited, for its acknowledgement or for an error. The binaries are built first
// and are not part of any time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/pleiad-etcd/pleiad/bench/program"
	"github.com/pleiad-etcd/pleiad/bench/sample"
)

func main() {
	runs := flag.Int("runs", 5, "how many times each side is measured")
	steps := flag.Bool("steps", false, "print what pleiad up said of the way to full strength, with its times")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *runs, *steps); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, runs int, steps bool) error {
	dir, err := os.MkdirTemp("", "pleiad-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := binaries{pleiad: filepath.Join(dir, "pleiad"), etcd: filepath.Join(dir, "etcd"), etcdctl: filepath.Join(dir, "etcdctl")}
	if err := errors.Join(program.Build(ctx, b.pleiad, "./cmd/pleiad"),
		program.Build(ctx, b.etcd, "go.etcd.io/etcd/server/v3"), program.Build(ctx, b.etcdctl, "go.etcd.io/etcd/etcdctl/v3")); err != nil {
		return err
	}
	var r results
	for i := range runs {
		err := errors.Join(
			byHand(ctx, b, filepath.Join(dir, fmt.Sprintf("hand-%d", i)), &r),
			byPleiad(ctx, b, filepath.Join(dir, fmt.Sprintf("pleiad-%d", i)), &r, steps))
		if err != nil {
			return fmt.Errorf("run %d: %w", i+1, err)
		}
	}
	fmt.Println()
	return r.print()
}

// binaries are the programs that are measured.
type binaries struct{ pleiad, etcd, etcdctl string }

// results are what was measured, in the order in which it is printed.
type results struct {
	etcdctl, clientv3, strength sample.Sample
	disturbances                []disturbance
}

// disturbance is what writers noticed of one thing that was done to a cluster.
type disturbance struct {
	name         string
	gap, slowest sample.Sample
}

// The two that are compared.
const (
	killed       = "kill the leader"
	killedByHand = "kill the leader, by hand"
)

// noticed takes up what was noticed of something.
func (r *results) noticed(name string, n notice) {
	for i := range r.disturbances {
		if r.disturbances[i].name == name {
			r.disturbances[i].add(n)
			return
		}
	}
	d := disturbance{name: name}
	d.add(n)
	r.disturbances = append(r.disturbances, d)
}

func (d *disturbance) add(n notice) {
	d.gap, d.slowest = append(d.gap, n.gap), append(d.slowest, n.slowest)
	fmt.Printf("%-28s %s\n", d.name, n)
}

func (r results) print() error {
	strength := sample.Table{{Name: "full strength: etcdctl, by hand", Sample: r.etcdctl}, {Name: "full strength: a Go program", Sample: r.clientv3},
		{Name: "full strength: pleiad up", Sample: r.strength}}
	gaps, slowest := sample.Table{}, sample.Table{}
	for _, d := range r.disturbances {
		gaps = append(gaps, sample.Row{Name: "gap: " + d.name, Sample: d.gap})
		slowest = append(slowest, sample.Row{Name: "slowest write: " + d.name, Sample: d.slowest})
	}
	if err := append(append(strength, gaps...), slowest...).Print(os.Stdout); err != nil {
		return err
	}
	_, err := fmt.Printf("pleiad / by hand (medians): full strength %.2f of etcdctl, %.2f of a Go program; gap of a killed leader %.2f\n",
		sample.Ratio(r.strength, r.etcdctl), sample.Ratio(r.strength, r.clientv3), sample.Ratio(r.gap(killed), r.gap(killedByHand)))
	return err
}

// gap is the sample of gaps of something.
func (r results) gap(name string) sample.Sample {
	return r.disturbances[slices.IndexFunc(r.disturbances, func(d disturbance) bool { return d.name == name })].gap
}

// rest waits until etcd adds members: it wants them to have been connected for five
// seconds (server/etcdserver/server.go, HealthInterval), whoever asks.
func rest(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(6 * time.Second):
		return nil
	}
}
