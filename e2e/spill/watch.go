package spill

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// period is the time between two looks at what processes there are.
	period = 10 * time.Millisecond
	// young is for how many looks a process is read each time: it may be about to
	// become another program. Then every seldom-th look does.
	young, seldom = 20, 50
)

// Watch is what the processes of a machine were seen with.
type Watch struct {
	// holder is the program that may have secrets in its environment.
	holder string
	stop   chan struct{}
	ended  chan struct{}

	mu      sync.Mutex
	looks   map[int]int // by process ID, of those that live
	seen    map[string]process
	samples int
}

// process is one as it was seen.
type process struct {
	pid, parent   int
	program       string
	argv, environ string
	holds, copies bool // may hold secrets; as one that is still a copy of its parent
}

// Start begins to look. The program holder, a path without symbolic links, may have
// secrets in its environment; what it starts may not, itself included. Nobody may
// have any in its arguments.
func Start(holder string) *Watch {
	w := &Watch{holder: holder, stop: make(chan struct{}), ended: make(chan struct{}), looks: map[int]int{}, seen: map[string]process{}}
	go func() {
		defer close(w.ended)
		for tick := time.NewTicker(period); ; {
			select {
			case <-w.stop:
				tick.Stop()
				return
			case <-tick.C:
				w.Look()
			}
		}
	}()
	return w
}

// Stop ends it. What was seen stays.
func (w *Watch) Stop() {
	close(w.stop)
	<-w.ended
}

// Look looks once, now.
func (w *Watch) Look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	folders, _ := filepath.Glob("/proc/[0-9]*")
	looks := map[int]int{}
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		looks[pid] = w.looks[pid] + 1
		if n := looks[pid]; n <= young || n%seldom == 0 {
			w.read(pid)
		}
	}
	w.looks = looks
	w.samples++
}

// read takes down a process, unless it has ended meanwhile.
func (w *Watch) read(pid int) {
	p := process{pid: pid, argv: of(pid, "cmdline")}
	if p.argv == "" { // of the kernel, or gone
		return
	}
	p.parent, p.program, p.environ = parent(pid), program(pid), of(pid, "environ")
	// Between fork and exec, a child is a copy of its parent in everything.
	p.copies = program(p.parent) == p.program && of(p.parent, "cmdline") == p.argv
	p.holds = p.program == w.holder && (p.copies || program(p.parent) != w.holder)
	w.seen[fmt.Sprint(p)] = p
}

func of(pid int, file string) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	return string(text)
}

func program(pid int) string {
	path, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return path
}

// parent reads /proc/PID/stat, where a program's name may have any character.
func parent(pid int) int {
	text := []byte(of(pid, "stat"))
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(string(fields[1]))
	return ppid
}

// Find says which secrets processes had that should not have them.
func (w *Watch) Find(s Secrets) (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(w.seen)) {
		p := w.seen[key]
		for _, name := range s.In(p.argv) {
			out = append(out, fmt.Sprintf("%s was in the arguments of process %d, %s", name, p.pid, p.program))
		}
		if p.holds {
			continue
		}
		for _, name := range s.In(p.environ) {
			out = append(out, fmt.Sprintf("%s was in the environment of process %d, %s", name, p.pid, p.program))
		}
	}
	return out
}

// Holders is how many processes with a secret in their environment were seen that may
// have it: without any, the watch has missed those it is for.
func (w *Watch) Holders(s Secrets) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := map[int]bool{}
	for _, p := range w.seen {
		if p.holds && !p.copies && s.In(p.environ) != nil {
			held[p.pid] = true
		}
	}
	return len(held)
}

// String counts.
func (w *Watch) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	pids := map[int]bool{}
	for _, p := range w.seen {
		pids[p.pid] = true
	}
	return fmt.Sprintf("%d looks saw %d processes", w.samples, len(pids))
}
