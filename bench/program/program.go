// Package program has the programs that the benchmarks measure: it builds them,
// and runs pleiad with a state directory of its own. It is used by the commands
// beside it, and a time that it returns is that from exec until exit.
package program

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Build builds a package into a static, stripped binary, and says how long that
// took and how large it is.
func Build(ctx context.Context, out, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	begun := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	info, err := os.Stat(out)
	if err != nil {
		return err
	}
	fmt.Printf("built %s in %s: %.1f MB\n", pkg, time.Since(begun).Round(100*time.Millisecond), float64(info.Size())/1e6)
	return nil
}

// Timed runs a command to its end and returns what it printed and how long that took.
func Timed(cmd *exec.Cmd) (string, time.Duration, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begun := time.Now()
	if err := cmd.Run(); err != nil {
		return "", 0, fmt.Errorf("%w\n%s", err, out.String())
	}
	return out.String(), time.Since(begun), nil
}

// Pleiad is a pleiad that was built.
type Pleiad struct {
	// Binary is the program, State the directory in which it keeps clusters.
	Binary, State string
	// Cluster is the flag that names the cluster, and its value.
	Cluster [2]string
}

// Run runs a command of pleiad on the cluster.
func (p Pleiad) Run(ctx context.Context, args ...string) (string, time.Duration, error) {
	args = append(args, "--state-dir", p.State, p.Cluster[0], p.Cluster[1])
	out, took, err := Timed(exec.CommandContext(ctx, p.Binary, args...))
	if err != nil {
		return "", 0, fmt.Errorf("pleiad %s: %w", strings.Join(args, " "), err)
	}
	return out, took, nil
}
