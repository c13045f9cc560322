package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/pleiad-etcd/pleiad/bench/program"
	"github.com/pleiad-etcd/pleiad/e2e/site"
)

// byPleiad measures one fresh cluster, and the commands that find nothing to
// do there.
func (b bench) byPleiad(ctx context.Context, r *results) (err error) {
	dir, err := os.MkdirTemp(b.dir, "site-")
	if err != nil {
		return err
	}
	s, err := site.Open(ctx, dir, r.hosts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	o, err := s.Operator(b.pleiad, dir)
	if err != nil {
		return err
	}
	_, took, err := program.Timed(o.Pleiad(ctx, "up"))
	if err != nil {
		return fmt.Errorf("pleiad up: %w", err)
	}
	r.up = append(r.up, took)

	before, err := s.Pushed(ctx)
	if err != nil {
		return err
	}
	if _, took, err = program.Timed(o.Pleiad(ctx, "up")); err != nil {
		return fmt.Errorf("pleiad up with nothing to do: %w", err)
	}
	r.noop = append(r.noop, took)
	after, err := s.Pushed(ctx)
	if err != nil {
		return err
	}
	var most uint64
	for i := range after {
		most = max(most, after[i]-before[i])
	}
	r.pushed = append(r.pushed, most)

	if _, took, err = program.Timed(o.Pleiad(ctx, "status")); err != nil {
		return fmt.Errorf("pleiad status: %w", err)
	}
	r.status = append(r.status, took)
	return nil
}
