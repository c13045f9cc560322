package writer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Check reads every key of the writer's from the cluster and compares: each
// acknowledged put must be there as it was acknowledged, and nothing may be
// there that was never put. The config is the writer's, or one that leads to
// other members of the same cluster.
func (t Tally) Check(ctx context.Context, c Config) error {
	client, err := c.open()
	if err != nil {
		return fmt.Errorf("check writes: %w", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	answer, err := client.Get(ctx, c.Prefix, clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("check writes: %w", err)
	}
	var wrong []string
	found := map[int]bool{}
	for _, kv := range answer.Kvs {
		n, err := strconv.Atoi(strings.TrimPrefix(string(kv.Key), c.Prefix))
		revision, acknowledged := t.Acknowledged[n]
		switch {
		case err != nil || !acknowledged && !t.Doubtful[n]:
			wrong = append(wrong, fmt.Sprintf("%s was never put", kv.Key))
		case string(kv.Value) != strconv.Itoa(n):
			wrong = append(wrong, fmt.Sprintf("%s is %q", kv.Key, kv.Value))
		case acknowledged && kv.ModRevision != revision:
			wrong = append(wrong, fmt.Sprintf("%s was acknowledged at revision %d and is of %d", kv.Key, revision, kv.ModRevision))
		}
		found[n] = true
	}
	for n := range t.Acknowledged {
		if !found[n] {
			wrong = append(wrong, fmt.Sprintf("%s was acknowledged and is lost", c.key(n)))
		}
	}
	if wrong == nil {
		return nil
	}
	slices.Sort(wrong)
	return errors.New("check writes: " + strings.Join(wrong, "\n"))
}

// String counts.
func (t Tally) String() string {
	return fmt.Sprintf("%d acknowledged, %d doubtful", len(t.Acknowledged), len(t.Doubtful))
}
