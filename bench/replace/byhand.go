package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pleiad-etcd/pleiad/bench/handmade"
	"github.com/pleiad-etcd/pleiad/bench/program"
	"github.com/pleiad-etcd/pleiad/bench/sample"
)

// byHand measures etcd that was set up by hand: the way back to full strength, with
// either tool, and what writers notice of a killed leader.
func byHand(ctx context.Context, b binaries, dir string, r *results) (err error) {
	c, err := handmade.Open(b.etcd, dir)
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
	if err := c.Healthy(ctx, members...); err != nil {
		return err
	}
	for _, tool := range []struct {
		name   string
		sample *sample.Sample
		exchange
	}{
		{"full strength, by etcdctl", &r.etcdctl, etcdctl(b.etcdctl)},
		{"full strength, by Go program", &r.clientv3, goProgram},
	} {
		if err := rest(ctx); err != nil {
			return err
		}
		var took time.Duration
		if took, members, err = regain(ctx, c, members, tool.exchange); err != nil {
			return fmt.Errorf("%s: %w", tool.name, err)
		}
		*tool.sample = append(*tool.sample, took)
		fmt.Printf("%-28s %s\n", tool.name, sample.Ms(took))
	}
	return disturbByHand(ctx, c, members, r)
}

// disturbByHand has one more member join, takes it away again, and kills the leader.
func disturbByHand(ctx context.Context, c *handmade.Cluster, members []int, r *results) error {
	if err := rest(ctx); err != nil {
		return err
	}
	client, err := c.Client(members...)
	if err != nil {
		return err
	}
	defer client.Close()
	more := append(slices.Clone(members), slices.Max(members)+1)
	n, err := during(ctx, client, func() error {
		if err := join(ctx, c, client, more); err != nil {
			return err
		}
		return c.Healthy(ctx, more...)
	})
	if err != nil {
		return fmt.Errorf("one more by hand: %w", err)
	}
	r.noticed("grow from 3 to 4, by hand", n)
	_, ids, err := leaderByHand(ctx, client, more)
	if err != nil {
		return err
	}
	if _, err := client.MemberRemove(ctx, ids[len(members)]); err != nil {
		return fmt.Errorf("remove member: %w", err)
	}
	if err := c.Kill(more[len(members)]); err != nil {
		return err
	}
	n, err = during(ctx, client, func() error {
		leader, _, err := leaderByHand(ctx, client, members)
		if err != nil {
			return err
		}
		return c.Kill(leader)
	})
	if err != nil {
		return fmt.Errorf("kill a leader set up by hand: %w", err)
	}
	r.noticed(killedByHand, n)
	return nil
}

// exchange is the shortest sequence by which a member that is lost, given by its ID,
// makes room for another one: the last of the members.
type exchange func(ctx context.Context, c *handmade.Cluster, lost uint64, members []int) error

// regain loses a follower with its data, and has another member in its place.
func regain(ctx context.Context, c *handmade.Cluster, members []int, do exchange) (time.Duration, []int, error) {
	client, err := c.Client(members...)
	if err != nil {
		return 0, nil, err
	}
	defer client.Close()
	leader, ids, err := leaderByHand(ctx, client, members)
	if err != nil {
		return 0, nil, err
	}
	lost := slices.IndexFunc(members, func(i int) bool { return i != leader })
	if err := errors.Join(c.Kill(members[lost]), c.Wipe(members[lost])); err != nil {
		return 0, nil, err
	}
	begun := time.Now()
	members = append(slices.Delete(slices.Clone(members), lost, lost+1), slices.Max(members)+1)
	if err := do(ctx, c, ids[lost], members); err != nil {
		return 0, nil, err
	}
	if err := c.Healthy(ctx, members...); err != nil {
		return 0, nil, err
	}
	return time.Since(begun), members, nil
}

// goProgram is what a program does that has etcd's own client, and connects once.
func goProgram(ctx context.Context, c *handmade.Cluster, lost uint64, members []int) error {
	client, err := c.Client(members[:len(members)-1]...)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := client.MemberRemove(ctx, lost); err != nil {
		return fmt.Errorf("remove member: %w", err)
	}
	return join(ctx, c, client, members)
}

// join has the last of the members join.
func join(ctx context.Context, c *handmade.Cluster, client *clientv3.Client, members []int) error {
	joins := members[len(members)-1]
	added, err := client.MemberAddAsLearner(ctx, []string{handmade.PeerURL(joins)})
	if err != nil {
		return fmt.Errorf("add learner: %w", err)
	}
	if err := c.Start(ctx, joins, "existing", members...); err != nil {
		return err
	}
	return untilPromoted(ctx, func() error {
		_, err := client.MemberPromote(ctx, added.Member.ID)
		return err
	})
}

// etcdctl is what a script does.
func etcdctl(binary string) exchange {
	return func(ctx context.Context, c *handmade.Cluster, lost uint64, members []int) error {
		left, joins := members[:len(members)-1], members[len(members)-1]
		run := func(args ...string) (string, error) {
			out, _, err := program.Timed(exec.CommandContext(ctx, binary, append(c.Flags(left...), args...)...))
			return out, err
		}
		if _, err := run("member", "remove", fmt.Sprintf("%x", lost)); err != nil {
			return err
		}
		out, err := run("member", "add", handmade.Name(joins), "--learner", "--peer-urls="+handmade.PeerURL(joins), "--write-out=json")
		if err != nil {
			return err
		}
		var added struct{ Member struct{ ID uint64 } }
		if err := json.Unmarshal([]byte(out), &added); err != nil {
			return fmt.Errorf("add learner: %w", err)
		}
		if err := c.Start(ctx, joins, "existing", members...); err != nil {
			return err
		}
		return untilPromoted(ctx, func() error {
			_, err := run("member", "promote", fmt.Sprintf("%x", added.Member.ID))
			return err
		})
	}
}

// untilPromoted promotes a learner again and again, until it has caught up.
func untilPromoted(ctx context.Context, promote func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := promote()
		if err == nil {
			return nil
		}
		select {
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
