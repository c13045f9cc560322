//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A spec that never comes to its end holds nobody: one signal is enough, and the
// command says what it was waiting for.
func TestOneSignalEndsTheReading(t *testing.T) {
	t.Parallel()
	for _, command := range [][]string{
		{"up"}, {"plan"}, {"status"}, {"destroy", "--yes"}, {"doctor"}, {"health"}, {"env"}, {"take-over"}, {"certificate", "app"},
	} {
		path := filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "pleiad", append(command, "-f", path, "--state-dir", t.TempDir())...)
		var said bytes.Buffer
		cmd.Stderr, cmd.Stdout = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		writer, err := os.OpenFile(path, os.O_WRONLY, 0) // waits for the reader
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		err = cmd.Wait()
		late.Stop()
		writer.Close()
		var exit *exec.ExitError
		if want := "pleiad: interrupted while reading " + path + ": it has not ended\n"; !errors.As(err, &exit) || exit.ExitCode() != 130 || said.String() != want {
			t.Errorf("%s: %v, %q; want exit 130 and %q", command[0], err, &said, want)
		}
	}
}
