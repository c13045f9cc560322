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
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

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
	if err := build(ctx, pleiad, "./cmd/pleiad"); err != nil {
		return err
	}
	if err := build(ctx, etcd, "go.etcd.io/etcd/server/v3"); err != nil {
		return err
	}
	if info, err := os.Stat(pleiad); err == nil {
		fmt.Printf("stripped binary: %.1f MB\n", float64(info.Size())/1e6)
	}

	var up, hand, five sample.Sample
	for i := range pairs {
		h, err := byHand(ctx, etcd, filepath.Join(dir, fmt.Sprintf("hand-%d", i)))
		if err != nil {
			return fmt.Errorf("by hand: %w", err)
		}
		hand = append(hand, h)
		for size, into := range map[int]*sample.Sample{3: &up, 5: &five} {
			c := command{binary: pleiad, state: filepath.Join(dir, fmt.Sprintf("up-%d-%d", size, i)), members: size}
			took, err := c.measureUp(ctx)
			if err != nil {
				return err
			}
			*into = append(*into, took)
		}
		fmt.Printf("pair %2d: by hand %s, pleiad up %s, with 5 members %s\n", i+1, sample.Ms(h), sample.Ms(up[i]), sample.Ms(five[i]))
	}
	fmt.Println()
	fmt.Println("3 members by hand, together ", hand)
	fmt.Println("pleiad up, 3 members        ", up)
	fmt.Println("pleiad up, 5 members        ", five)
	fmt.Printf("up / by hand (medians): %.2f      5 / 3 members: %.2f\n\n", sample.Ratio(up, hand), sample.Ratio(five, up))
	return resident(ctx, command{binary: pleiad, state: filepath.Join(dir, "rest"), members: 3}, pairs)
}

// resident measures a cluster at rest: commands that change nothing, and memory.
func resident(ctx context.Context, c command, n int) error {
	if _, err := c.run(ctx, "up"); err != nil {
		return err
	}
	defer c.run(context.WithoutCancel(ctx), "destroy", "--yes")
	var noop, health sample.Sample
	for range n {
		took, err := c.run(ctx, "up")
		if err != nil {
			return err
		}
		noop = append(noop, took)
		if took, err = c.run(ctx, "health"); err != nil {
			return err
		}
		health = append(health, took)
	}
	fmt.Println("pleiad up, nothing to do    ", noop)
	fmt.Println("pleiad health               ", health)
	return memory(ctx, c)
}

func build(ctx context.Context, out, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Stderr = os.Stderr
	begun := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	fmt.Printf("built %s in %s\n", pkg, time.Since(begun).Round(100*time.Millisecond))
	return nil
}
