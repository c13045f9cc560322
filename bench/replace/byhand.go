package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pleiad-etcd/pleiad/bench/handmade"
	"github.com/pleiad-etcd/pleiad/bench/sample"
)

// byHand measures etcd that was set up by hand: the way back to full strength, and
// what writers notice of a killed leader.
func byHand(ctx context.Context, etcd, dir string, r *results) (err error) {
	c, err := handmade.Open(etcd, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	members := []int{0, 1, 2}
	for _, i := range members {
		if err := c.Start(ctx, i, "new", members...); err != nil {
			return err
		}
	}
	if err := errors.Join(c.Healthy(ctx, members...), rest(ctx)); err != nil {
		return err
	}
	took, members, err := regain(ctx, c, members)
	if err != nil {
		return fmt.Errorf("full strength by hand: %w", err)
	}
	r.handStrength = append(r.handStrength, took)
	fmt.Printf("%-28s %s\n", "full strength by hand", sample.Ms(took))

	client, err := c.Client(members...)
	if err != nil {
		return err
	}
	defer client.Close()
	n, err := during(ctx, client, func() error {
		leader, _, err := leaderByHand(ctx, client, members)
		if err != nil {
			return err
		}
		return c.Kill(leader)
	})
	if err != nil {
		return fmt.Errorf("kill a leader set up by hand: %w", err)
	}
	r.handKill.name = "kill the leader, by hand"
	r.handKill.add(n)
	return nil
}

// regain loses a follower with its data, and has another member in its place.
func regain(ctx context.Context, c *handmade.Cluster, members []int) (time.Duration, []int, error) {
	all, err := c.Client(members...)
	if err != nil {
		return 0, nil, err
	}
	defer all.Close()
	leader, ids, err := leaderByHand(ctx, all, members)
	if err != nil {
		return 0, nil, err
	}
	lost := slices.IndexFunc(members, func(i int) bool { return i != leader })
	if err := errors.Join(c.Kill(members[lost]), c.Wipe(members[lost])); err != nil {
		return 0, nil, err
	}

	begun := time.Now()
	left, joins := slices.Delete(slices.Clone(members), lost, lost+1), slices.Max(members)+1
	client, err := c.Client(left...)
	if err != nil {
		return 0, nil, err
	}
	defer client.Close()
	members = append(left, joins)
	if err := exchangeByHand(ctx, c, client, ids[lost], members); err != nil {
		return 0, nil, err
	}
	if err := c.Healthy(ctx, members...); err != nil {
		return 0, nil, err
	}
	return time.Since(begun), members, nil
}

// exchangeByHand is the shortest sequence there is. The last of the members joins.
func exchangeByHand(ctx context.Context, c *handmade.Cluster, client *clientv3.Client, lost uint64, members []int) error {
	joins := members[len(members)-1]
	if _, err := client.MemberRemove(ctx, lost); err != nil {
		return fmt.Errorf("remove member: %w", err)
	}
	added, err := client.MemberAddAsLearner(ctx, []string{handmade.PeerURL(joins)})
	if err != nil {
		return fmt.Errorf("add learner: %w", err)
	}
	if err := c.Start(ctx, joins, "existing", members...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		_, err := client.MemberPromote(ctx, added.Member.ID)
		if err == nil {
			return nil
		}
		select { // it has not caught up
		case <-ctx.Done():
			return fmt.Errorf("promote learner: %w", err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// leaderByHand is the number of the member that leads, and the IDs of all.
func leaderByHand(ctx context.Context, client *clientv3.Client, members []int) (leader int, ids []uint64, err error) {
	leader = -1
	for _, i := range members {
		s, err := client.Status(ctx, handmade.ClientURL(i))
		if err != nil {
			return 0, nil, fmt.Errorf("status of member %d: %w", i, err)
		}
		ids = append(ids, s.Header.MemberId)
		if s.Leader == s.Header.MemberId {
			leader = i
		}
	}
	if leader < 0 {
		return 0, nil, errors.New("no member leads")
	}
	return leader, ids, nil
}
