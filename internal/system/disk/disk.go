// Package disk measures whether a disk is good enough for etcd: how much is
// free and how long it takes to make a small append durable. The doctor
// measures this machine, the agent the one it runs on.
package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// The probe follows etcd: its log grows by records of about 2 kB, each made
// durable before it counts.
const (
	Appends    = 100
	appendSize = 2048
)

// Slow is what the 99th percentile of appends should stay below (etcd FAQ,
// "What does the etcd warning … mean").
const Slow = 10 * time.Millisecond

// Scratch makes a file that a probe may write to. Its name begins so that what
// a crash leaves is told from everything else.
func Scratch(dir string) (*os.File, error) { return os.CreateTemp(dir, ".pleiad-doctor-*") }

// Discard closes and removes a scratch file.
func Discard(f *os.File) error { return errors.Join(f.Close(), os.Remove(f.Name())) }

// Measure appends to a file in dir, makes each append durable, and returns how
// long each took. It leaves nothing.
func Measure(ctx context.Context, dir string) ([]time.Duration, error) {
	f, err := Scratch(dir)
	if err != nil {
		return nil, err
	}
	took, err := appendDurably(ctx, f)
	return took, errors.Join(err, Discard(f))
}

func appendDurably(ctx context.Context, f *os.File) ([]time.Duration, error) {
	// Grown beforehand, as etcd does with its log: an append within it changes
	// no metadata.
	if err := errors.Join(f.Truncate(Appends*appendSize), f.Sync()); err != nil {
		return nil, err
	}
	block := make([]byte, appendSize)
	var took []time.Duration
	for range Appends {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("after %d appends: %w", len(took), err)
		}
		begun := time.Now()
		if _, err := f.Write(block); err != nil {
			return nil, err
		}
		if err := dataSync(f); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begun))
	}
	return took, nil
}

// Percentile is the nearest-rank percentile of at least one value.
func Percentile(values []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)*p+99)/100-1]
}
