package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/local"
)

// screen collects what is written and wakes whoever waits for some of it.
type screen struct {
	mu   sync.Mutex
	cond *sync.Cond
	text bytes.Buffer
}

func newScreen() *screen {
	s := &screen{}
	s.cond = sync.NewCond(&s.mu)
	return s
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cond.Broadcast()
	return s.text.Write(b)
}

// await waits until the screen shows something.
func (s *screen) await(t *testing.T, want string) {
	t.Helper()
	defer context.AfterFunc(t.Context(), s.cond.Broadcast)()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !strings.Contains(s.text.String(), want) {
		if t.Context().Err() != nil {
			t.Fatalf("screen shows %q, want %q", s.text.String(), want)
		}
		s.cond.Wait()
	}
}

func appendLog(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func rotate(t *testing.T, h cluster.Host, stamp string) {
	t.Helper()
	if err := os.Rename(h.Paths.Log, filepath.Join(filepath.Dir(h.Paths.Log), "etcd-"+stamp+".log")); err != nil {
		t.Fatal(err)
	}
}

func TestLogsFromTheOldestOn(t *testing.T) {
	t.Parallel()
	h, d := freeHost(t), local.New(nil, cluster.Program{})
	var out bytes.Buffer
	if err := d.Logs(t.Context(), h, false, &out); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), h.Paths.Log) {
		t.Errorf("without a log: %v, want that %s does not exist", err, h.Paths.Log)
	}
	appendLog(t, h.Paths.Log, "1\n")
	rotate(t, h, "2026-11-22T23-59-59.999")
	appendLog(t, h.Paths.Log, "2\n")
	rotate(t, h, "2026-11-23T00-00-00.000")
	if err := d.Logs(t.Context(), h, false, &out); err != nil || out.String() != "1\n2\n" {
		t.Errorf("just rotated: %q, %v, want both lines", out.String(), err)
	}
	appendLog(t, h.Paths.Log, "3 without end")
	appendLog(t, filepath.Join(filepath.Dir(h.Paths.Log), "other-2026-11-23T00-00-00.000.log"), "not ours\n")
	out.Reset()
	if err := d.Logs(t.Context(), h, false, &out); err != nil || out.String() != "1\n2\n3 without end" {
		t.Errorf("%q, %v, want all three lines", out.String(), err)
	}
}

// following starts to follow and returns how to end it.
func following(t *testing.T, h cluster.Host) (s *screen, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s = newScreen()
	done := make(chan error, 1)
	go func() { done <- local.New(nil, cluster.Program{}).Logs(ctx, h, true, s) }()
	return s, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Logs: %v, want none when its context ends", err)
		}
	}
}

func TestLogsFollow(t *testing.T) {
	t.Parallel()
	h := freeHost(t)
	s, end := following(t, h)
	appendLog(t, h.Paths.Log, "1\n")
	s.await(t, "1\n")
	appendLog(t, h.Paths.Log, "2\n")
	rotate(t, h, "2026-11-23T00-00-00.000")
	appendLog(t, h.Paths.Log, "3\n")
	rotate(t, h, "2026-11-23T00-00-00.001")
	appendLog(t, h.Paths.Log, "4\n")
	s.await(t, "4\n")
	// Rotated so fast that the one being read is removed already.
	appendLog(t, h.Paths.Log, "5\n")
	s.await(t, "5\n")
	rotate(t, h, "2026-11-23T00-00-00.002")
	appendLog(t, h.Paths.Log, "6\n")
	rotate(t, h, "2026-11-23T00-00-00.003")
	appendLog(t, h.Paths.Log, "7\n")
	for _, stamp := range []string{"0", "1", "2"} {
		if err := os.Remove(filepath.Join(filepath.Dir(h.Paths.Log), "etcd-2026-11-23T00-00-00.00"+stamp+".log")); err != nil {
			t.Fatal(err)
		}
	}
	s.await(t, "7\n")
	if err := os.Truncate(h.Paths.Log, 0); err != nil {
		t.Fatal(err)
	}
	appendLog(t, h.Paths.Log, "8\n")
	end()
	if got := s.text.String(); got != "1\n2\n3\n4\n5\n6\n7\n" && got != "1\n2\n3\n4\n5\n6\n7\n8\n" {
		t.Errorf("screen shows %q, want each line once", got)
	}
}

func TestLogsFollowEndsWithTheHost(t *testing.T) {
	t.Parallel()
	h := freeHost(t)
	appendLog(t, h.Paths.Log, "1\n")
	s := newScreen()
	done := make(chan error, 1)
	go func() { done <- local.New(nil, cluster.Program{}).Logs(t.Context(), h, true, s) }()
	s.await(t, "1\n")
	if err := os.RemoveAll(filepath.Dir(h.Paths.Log)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Logs: %v", err)
	}
}

// Whatever a rotation does between two acts of Logs, lines follow one another.
func TestLogsBesideRotation(t *testing.T) {
	t.Parallel()
	h := freeHost(t)
	const kept, looks = 5, 300
	stop := make(chan struct{})
	var group sync.WaitGroup
	defer group.Wait()
	defer close(stop)
	appendLog(t, h.Paths.Log, "0\n")
	group.Go(func() {
		rotatedName := func(i int) string {
			return filepath.Join(filepath.Dir(h.Paths.Log), fmt.Sprintf("etcd-2026-11-23T00-00-00.%07d.log", i))
		}
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			err := os.Rename(h.Paths.Log, rotatedName(i))
			if err == nil {
				err = os.WriteFile(h.Paths.Log, fmt.Appendln(nil, i), 0o600)
			}
			if err == nil && i > kept {
				err = os.Remove(rotatedName(i - kept))
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range looks {
		var out bytes.Buffer
		if err := local.New(nil, cluster.Program{}).Logs(t.Context(), h, false, &out); err != nil {
			t.Fatal(err)
		}
		last := -1
		for line := range strings.Lines(out.String()) {
			n, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil || last >= 0 && n != last+1 {
				t.Fatalf("shows %q, want lines that follow one another", out.String())
			}
			last = n
		}
	}
}

// The very library with which etcd rotates, as fast as it can.
func TestLogsFollowLumberjack(t *testing.T) {
	t.Parallel()
	h := freeHost(t)
	s, end := following(t, h)
	w := &lumberjack.Logger{Filename: h.Paths.Log, MaxSize: 1, MaxBackups: 0}
	var want strings.Builder
	for i := range 20 {
		for j := range 50 {
			line := fmt.Sprintf("%d %d\n", i, j)
			want.WriteString(line)
			if _, err := w.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		// Two rotations in one millisecond would get one name.
		for last := time.Now().UnixMilli(); time.Now().UnixMilli() == last; {
		}
		if err := w.Rotate(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write([]byte("end\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s.await(t, "end\n")
	end()
	if got := s.text.String(); got != want.String()+"end\n" {
		t.Errorf("screen shows %d bytes, want the %d written", len(got), want.Len()+4)
	}
}
