package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/bench/program"
)

// fresh is pleiad with a state directory of its own.
func fresh(binary, state string) program.Pleiad {
	return program.Pleiad{Binary: binary, State: state, Cluster: [2]string{"--cluster", "bench"}}
}

// measureUp is one fresh cluster: up, timed, and destroyed again.
func measureUp(ctx context.Context, p program.Pleiad, members int) (time.Duration, error) {
	_, took, err := p.Run(ctx, "up", "--members", strconv.Itoa(members))
	if err != nil {
		return 0, err
	}
	_, _, err = p.Run(ctx, "destroy", "--yes")
	return took, err
}

// memory prints the resident size of the cluster's processes after some time
// at rest, found by the state directory in their arguments.
func memory(ctx context.Context, pleiad program.Pleiad) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Second): // at rest, not freshly started
	}
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(procs) == 0 {
		fmt.Println("resident memory: not measured, there is no /proc")
		return err
	}
	for _, p := range procs {
		line, err := os.ReadFile(p)
		if err != nil || !bytes.Contains(line, []byte(pleiad.State)) {
			continue
		}
		status, err := os.ReadFile(filepath.Join(filepath.Dir(p), "status"))
		if err != nil {
			continue
		}
		for l := range strings.Lines(string(status)) {
			if kb, ok := strings.CutPrefix(l, "VmRSS:"); ok {
				n, _ := strconv.Atoi(strings.Fields(kb)[0])
				fmt.Printf("resident memory of %-12s %5.1f MB\n", bytes.Split(line, []byte{0})[1], float64(n)*1024/1e6)
			}
		}
	}
	return nil
}
