package hosts

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// run is a command that runs, or has ended. What it says can be read
// meanwhile.
type run struct {
	testing.TB
	args   []string
	cmd    *exec.Cmd
	said   text
	took   time.Duration // once it has ended
	ended  chan struct{}
	closed func() // ends its breakpoints
}

// text can be read while it is written.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

func (r *run) start() *run {
	r.Helper()
	begun := time.Now()
	if err := r.cmd.Start(); err != nil {
		r.Fatal(err)
	}
	hung := time.AfterFunc(3*time.Minute, func() { _ = r.cmd.Process.Signal(syscall.SIGQUIT) })
	go func() {
		_ = r.cmd.Wait() // its exit code says it
		hung.Stop()
		r.took = time.Since(begun)
		r.closed()
		close(r.ended)
	}()
	r.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.ended
	})
	return r
}

// end waits for the end.
func (r *run) end() (code int) {
	<-r.ended
	return r.cmd.ProcessState.ExitCode()
}

func (r *run) running() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

func (r *run) String() string {
	return fmt.Sprintf("pleiad %s:\n%s", strings.Join(r.args, " "), &r.said)
}

// ends waits for a certain end: an exit code, and words that were said.
func (r *run) ends(code int, words ...string) *run {
	r.Helper()
	if got := r.end(); got != code {
		r.Fatalf("exit %d, want %d: %s", got, code, r)
	}
	r.wantSaid(words...)
	if code != 0 {
		r.wantOneLine()
	}
	return r
}

// lacks are the words that were not said so far.
func (r *run) lacks(words ...string) (missing []string) {
	said := r.said.String()
	for _, word := range words {
		if !strings.Contains(said, word) {
			missing = append(missing, word)
		}
	}
	return missing
}

func (r *run) wantSaid(words ...string) {
	r.Helper()
	if missing := r.lacks(words...); missing != nil {
		r.Errorf("not said: %q: %s", missing, r)
	}
}

// says waits until words were said, while the command runs.
func (r *run) says(words ...string) {
	r.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		over := !r.running() || time.Now().After(end)
		missing := r.lacks(words...)
		if missing == nil {
			return
		}
		if over {
			r.Fatalf("not said within a minute or before it ended: %q: %s", missing, r)
		}
	}
}

// reason is the line that says why the command failed, and what follows it.
func (r *run) reason() (line string, after []string) {
	_, reason, _ := strings.Cut("\n"+r.said.String(), "\npleiad: ")
	lines := strings.Split(strings.TrimSpace(reason), "\n")
	return lines[0], lines[1:]
}

// wantOneLine wants the reason in one line that is followed by nothing but
// details and hints.
func (r *run) wantOneLine() {
	r.Helper()
	line, after := r.reason()
	if line == "" || slices.ContainsFunc(after, func(l string) bool { return !strings.HasPrefix(l, "  ") }) {
		r.Errorf("want one line with the reason, then hints: %s", r)
	}
	if len(line) > 1000 {
		r.Errorf("the reason is %d bytes long: %s", len(line), r)
	}
}
