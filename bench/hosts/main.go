// Command hosts measures pleiad on machines: `pleiad up` from bare hosts to a
// verified cluster, with TLS, DNS in BIND, gates and pins, against byhand.sh,
// a parallel shell script that does plain HTTP without DNS or checks. The two
// alternate, each time on hosts that were made for it. It needs root and the
// test bed of e2e/testbed.
//
//	go run ./bench/hosts                # five pairs with 3 hosts, five with 9
//	go run ./bench/hosts -sizes 3 -runs 3
//	go run ./bench/hosts -only hand     # or pleiad
//
// Either side counts from exec until exit. The hosts are up before, the
// binaries built and stripped. After each `up` another one has nothing to do:
// it is measured too, with what the controller pushes to the busiest host, and
// so is `status`.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pleiad-etcd/pleiad/bench/program"
	"github.com/pleiad-etcd/pleiad/bench/sample"
)

func main() {
	sizes := flag.String("sizes", "3,9", "numbers of hosts, with commas")
	runs := flag.Int("runs", 5, "how many times each side is measured")
	only := flag.String("only", "", "hand or pleiad: measure one side only")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *sizes, *runs, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, sizes string, runs int, only string) error {
	dir, err := os.MkdirTemp("", "pleiad-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := bench{dir: dir, pleiad: filepath.Join(dir, "pleiad"), etcd: filepath.Join(dir, "etcd")}
	if err := program.Build(ctx, b.pleiad, "./cmd/pleiad"); err != nil {
		return err
	}
	if err := program.Build(ctx, b.etcd, "go.etcd.io/etcd/server/v3"); err != nil {
		return err
	}
	var all []results
	for size := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil {
			return fmt.Errorf("sizes: %w", err)
		}
		r, err := b.measure(ctx, n, runs, only)
		if err != nil {
			return fmt.Errorf("%d hosts: %w", n, err)
		}
		all = append(all, r)
	}
	fmt.Println()
	for _, r := range all {
		r.print()
	}
	return nil
}

// bench holds what all runs share.
type bench struct{ dir, pleiad, etcd string }

// results are those of one number of hosts.
type results struct {
	hosts                  int
	hand, up, noop, status sample.Sample
	pushed                 []uint64 // bytes from the controller to the busiest host in a no-op
}

// measure alternates the two sides.
func (b bench) measure(ctx context.Context, hosts, runs int, only string) (results, error) {
	r := results{hosts: hosts}
	for i := range runs {
		if only != "pleiad" {
			took, err := b.byHand(ctx, hosts)
			if err != nil {
				return r, fmt.Errorf("by hand: %w", err)
			}
			r.hand = append(r.hand, took)
			fmt.Printf("%d hosts, run %d: by hand   %s\n", hosts, i+1, sample.Ms(took))
		}
		if only != "hand" {
			if err := b.byPleiad(ctx, &r); err != nil {
				return r, err
			}
			fmt.Printf("%d hosts, run %d: pleiad up %s, again %s (%d bytes pushed to the busiest host), status %s\n",
				hosts, i+1, sample.Ms(r.up[i]), sample.Ms(r.noop[i]), r.pushed[i], sample.Ms(r.status[i]))
		}
	}
	return r, nil
}

func (r results) print() {
	fmt.Printf("%d hosts\n  by hand      %s\n  pleiad up    %s\n  up again     %s\n  status       %s\n", r.hosts, r.hand, r.up, r.noop, r.status)
	if len(r.hand) > 0 && len(r.up) > 0 {
		fmt.Printf("  up / by hand (medians): %.2f\n", sample.Ratio(r.up, r.hand))
	}
	if p, n := slices.Sorted(slices.Values(r.pushed)), len(r.pushed); n > 0 {
		fmt.Printf("  pushed to the busiest host by an up with nothing to do: min %d  median %d  max %d bytes\n", p[0], (p[(n-1)/2]+p[n/2])/2, p[n-1])
	}
}
