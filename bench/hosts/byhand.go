package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/pleiad-etcd/pleiad/bench/program"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

//go:embed byhand.sh
var byhand string

// byHand measures the script on hosts of its own.
func (b bench) byHand(ctx context.Context, hosts int) (took time.Duration, err error) {
	lab, err := bed.Open(ctx, hosts)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	args := []string{"-c", byhand, "byhand.sh", b.etcd, lab.SSHConfig()}
	for _, h := range lab.Hosts {
		args = append(args, h.Addr.String())
	}
	if _, took, err = program.Timed(lab.Command(ctx, "bash", args...)); err != nil {
		return 0, err
	}
	// Healthy members of one cluster, not several healthy clusters.
	out, err := lab.Command(ctx, "curl", "-fsS", "-X", "POST", "-d", "{}", "http://"+lab.Hosts[0].Addr.String()+":2379/v3/cluster/member/list").Output()
	if n := bytes.Count(out, []byte(`"clientURLs"`)); err != nil || n != hosts {
		return 0, fmt.Errorf("%d members, want %d: %w\n%s", n, hosts, err, out)
	}
	return took, nil
}
