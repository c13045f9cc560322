// Command local measures pleiad on this machine: `pleiad up` against the same
// three etcd members started together by hand with static flags and the same
// kind of TLS, alternating, so that both see the same machine.
//
//	go run ./bench/local             # ten pairs
//	go run ./bench/local -pairs 3
//
// A run by hand counts from the first exec until all three members answer
// /health (a linearizable read) with true; a run of pleiad from exec until its
// exit, with verification through SRV discovery in it. The binaries are built
// first and are not part of any time.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/pleiad-etcd/pleiad/bench/program"
	"github.com/pleiad-etcd/pleiad/bench/sample"
)

func main() {
	pairs := flag.Int("pairs", 10, "how many times each side is measured")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *pairs); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, pairs int) error {
	dir, err := os.MkdirTemp("", "pleiad-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	pleiad, etcd := filepath.Join(dir, "pleiad"), filepath.Join(dir, "etcd")
	if err := program.Build(ctx, pleiad, "./cmd/pleiad"); err != nil {
		return err
	}
	if err := program.Build(ctx, etcd, "go.etcd.io/etcd/server/v3"); err != nil {
		return err
	}
	var up, hand, five sample.Sample
	for i := range pairs {
		h, err := byHand(ctx, etcd, filepath.Join(dir, fmt.Sprintf("hand-%d", i)))
		if err != nil {
			return fmt.Errorf("by hand: %w", err)
		}
		hand = append(hand, h)
		for size, into := range map[int]*sample.Sample{3: &up, 5: &five} {
			took, err := measureUp(ctx, fresh(pleiad, filepath.Join(dir, fmt.Sprintf("up-%d-%d", size, i))), size)
			if err != nil {
				return err
			}
			*into = append(*into, took)
		}
		fmt.Printf("pair %2d: by hand %s, pleiad up %s, with 5 members %s\n", i+1, sample.Ms(h), sample.Ms(up[i]), sample.Ms(five[i]))
	}
	fmt.Println()
	table := sample.Table{{Name: "3 members by hand, together", Sample: hand}, {Name: "pleiad up, 3 members", Sample: up}, {Name: "pleiad up, 5 members", Sample: five}}
	if err := table.Print(os.Stdout); err != nil {
		return err
	}
	fmt.Printf("up / by hand (medians): %.2f      5 / 3 members: %.2f\n\n", sample.Ratio(up, hand), sample.Ratio(five, up))
	return resident(ctx, fresh(pleiad, filepath.Join(dir, "rest")), pairs)
}

// resident measures a cluster at rest: commands that change nothing, and memory.
func resident(ctx context.Context, p program.Pleiad, n int) error {
	if _, _, err := p.Run(ctx, "up"); err != nil {
		return err
	}
	defer p.Run(context.WithoutCancel(ctx), "destroy", "--yes")
	var noop, health sample.Sample
	for range n {
		_, took, err := p.Run(ctx, "up")
		if err != nil {
			return err
		}
		noop = append(noop, took)
		if _, took, err = p.Run(ctx, "health"); err != nil {
			return err
		}
		health = append(health, took)
	}
	table := sample.Table{{Name: "pleiad up, nothing to do", Sample: noop}, {Name: "pleiad health", Sample: health}}
	if err := table.Print(os.Stdout); err != nil {
		return err
	}
	return memory(ctx, p)
}
