package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// command runs the built pleiad with a state directory of its own.
type command struct {
	binary, state string
	members       int
}

// measureUp is one fresh cluster: up, timed, and destroyed again.
func (c command) measureUp(ctx context.Context) (time.Duration, error) {
	took, err := c.run(ctx, "up")
	if err != nil {
		return 0, err
	}
	_, err = c.run(ctx, "destroy", "--yes")
	return took, err
}

func (c command) run(ctx context.Context, args ...string) (time.Duration, error) {
	args = append(args, "--state-dir", c.state, "--cluster", "bench")
	if args[0] == "up" {
		args = append(args, "--members", strconv.Itoa(c.members))
	}
	cmd := exec.CommandContext(ctx, c.binary, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begun := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("pleiad %s: %w\n%s", strings.Join(args, " "), err, out.String())
	}
	return time.Since(begun), nil
}

// memory prints the resident size of the cluster's processes after some time
// at rest, found by the state directory in their arguments.
func memory(ctx context.Context, c command) error {
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
		if err != nil || !bytes.Contains(line, []byte(c.state)) {
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
