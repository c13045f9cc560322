package main

import (
	"context"
	"errors"
	"time"

	"github.com/pleiad-etcd/pleiad/bench/handmade"
)

// byHand starts three members together and returns the time until all three are
// healthy.
func byHand(ctx context.Context, etcd, dir string) (took time.Duration, err error) {
	c, err := handmade.Open(etcd, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	members := []int{0, 1, 2}
	begun := time.Now()
	for _, i := range members {
		if err := c.Start(ctx, i, "new", members...); err != nil {
			return 0, err
		}
	}
	if err := c.Healthy(ctx, members...); err != nil {
		return 0, err
	}
	return time.Since(begun), nil
}
