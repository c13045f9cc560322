package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/chaos/schedule"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

// converge is the one command that must make it right, now that nothing is in
// the way.
func (w *world) converge(ctx context.Context) error {
	begun := time.Now()
	_, err := w.pleiad(ctx, "up", "--yes", "--output", "json")
	if err == nil {
		w.Logf("         up took %s", tenths(time.Since(begun)))
	}
	return err
}

// operate asks pleiad for what the round is about.
func (w *world) operate(ctx context.Context, r schedule.Round, who standing) error {
	switch r.Operation {
	case schedule.Replace:
		return w.attempt(ctx, r.KilledAt(), "replace", who.names[r.Who])
	case schedule.GiveUp:
		return w.without(ctx, who.machines[r.Who], func() error {
			return w.attempt(ctx, r.KilledAt(), "replace", who.names[r.Who])
		})
	}
	return w.attempt(ctx, r.KilledAt(), "up")
}

// without does something while a machine has no power.
func (w *world) without(ctx context.Context, h *bed.Host, do func() error) error {
	if err := h.Kill(ctx); err != nil {
		return err
	}
	return errors.Join(do(), h.Start(context.WithoutCancel(ctx)))
}

// pleiad runs a command that must succeed, and returns its standard output.
func (w *world) pleiad(ctx context.Context, command string, args ...string) (string, error) {
	log, err := w.log(command)
	if err != nil {
		return "", err
	}
	defer log.Close()
	var out bytes.Buffer
	cmd := w.operator.Pleiad(ctx, command, args...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, log), log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("pleiad %s: %w\n%s", command, err, tail(log.Name()))
	}
	return out.String(), nil
}

// attempt runs a command that may fail, and is killed at the n-th boundary of
// its steps; 0: never. The spec that it was given is right.
func (w *world) attempt(ctx context.Context, n int, command string, args ...string) error {
	log, err := w.log(command)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := w.operator.Pleiad(ctx, command, append(args, "--yes", "--output", "json", "--timeout", "20s")...)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	boundary(io.TeeReader(out, log), n, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait() // its exit code says it
	code := cmd.ProcessState.ExitCode()
	w.Logf("         %s ended with %d after %s", command, code, tenths(time.Since(begun)))
	// Done, failed, refused, name server unreachable; -1 is killed.
	if !slices.Contains([]int{0, 1, 5, 10}, code) && (n == 0 || code != -1) {
		return fmt.Errorf("pleiad %s: exit %d\n%s", command, code, tail(log.Name()))
	}
	return nil
}

// boundary reads the events of a run to their end, and calls at the n-th
// beginning or end of a step.
func boundary(events io.Reader, n int, at func()) {
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 1<<20)
	for seen := 0; lines.Scan(); {
		var event struct{ Kind string }
		if json.Unmarshal(lines.Bytes(), &event) == nil && slices.Contains([]string{"started", "done", "failed"}, event.Kind) {
			if seen++; seen == n {
				at()
			}
		}
	}
}

// log is a file of the test's artifacts for what a command says. They are
// numbered in the order in which the commands began.
func (w *world) log(command string) (*os.File, error) {
	w.commands++
	return os.Create(filepath.Join(w.ArtifactDir(), fmt.Sprintf("%04d-%s.log", w.commands, command)))
}

// tail is the end of a file.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.SplitAfter(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "")
}
