package render

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/progress"
)

// story is an up that meets a waiting gate and a failure.
func story() []progress.Event {
	step := func(verb, object string, members ...string) *progress.Step {
		return &progress.Step{Verb: verb, Object: object, Members: members}
	}
	start := step("start name server", "of this cluster")
	a, b := step("start member", "etcd-aaaaaaa", "etcd-aaaaaaa"), step("start member", "etcd-bbbbbbb", "etcd-bbbbbbb")
	await := step("await members", "etcd-aaaaaaa and etcd-bbbbbbb", "etcd-aaaaaaa", "etcd-bbbbbbb")
	return []progress.Event{
		{At: at(5), Kind: progress.Observed},
		{At: at(5), Kind: progress.Planned, Steps: []progress.Step{*start}},
		{At: at(6), Kind: progress.Started, Step: start},
		{At: at(40), Kind: progress.Done, Step: start, Took: 34 * time.Millisecond},
		{At: at(60), Kind: progress.Planned, Steps: []progress.Step{*a, *b}},
		{At: at(61), Kind: progress.Started, Step: a},
		{At: at(90), Kind: progress.Done, Step: a, Took: 29 * time.Millisecond},
		{At: at(91), Kind: progress.Started, Step: b},
		{At: at(200), Kind: progress.Failed, Step: b, Took: 109 * time.Millisecond, Error: "start member etcd-bbbbbbb: address already in use"},
		{At: at(201), Kind: progress.Started, Step: b},
		{At: at(202), Kind: progress.Failed, Step: b, Took: 1 * time.Millisecond, Error: "start member etcd-bbbbbbb: address already in use"},
		{At: at(210), Kind: progress.Started, Step: await},
		{At: at(220), Kind: progress.Waiting, Step: await, Detail: "etcd-bbbbbbb waits at its gate: \x1b[31m_etcd-server-ssl._tcp.dev.test. has 2 records, want 3"},
		{At: at(7220), Kind: progress.Done, Step: await, Took: 7010 * time.Millisecond},
		{At: at(7230), Kind: progress.Refused, Step: &progress.Step{Verb: "launch host etcd-ccccccc", Rules: []string{"R6"}}, Detail: "its host is gone"},
		{At: at(7231), Kind: progress.Converged},
	}
}

// play gives a scene its events, and the moments of its clock between them.
func play(s scene, every time.Duration, look func(progress.Event)) {
	now := at(0)
	for _, e := range story() {
		for ; now.Before(e.At); now = now.Add(every) {
			s.moment(now)
		}
		s.event(e)
		look(e)
	}
	s.end(at(7232))
}

func TestLines(t *testing.T) {
	var out bytes.Buffer
	play(newLines(Screen{W: &out}, at(0)), time.Second, func(progress.Event) {})
	golden(t, "lines.golden", out.String())
}

func TestJSONLines(t *testing.T) {
	var out bytes.Buffer
	p := Printer{Format: JSON, Screen: Screen{W: &out}}.Progress()
	for _, e := range story() {
		p.Report(e)
	}
	p.Close()
	golden(t, "lines-json.golden", out.String())
}

// TestLive shows the screen as a person sees it after each event.
func TestLive(t *testing.T) {
	for name, size := range map[string][2]int{"live": {72, 24}, "live-narrow": {30, 24}, "live-low": {72, 4}} {
		t.Run(name, func(t *testing.T) {
			term := &terminal{t: t, columns: size[0], height: size[1]}
			fmt.Fprintln(term, "$ pleiad up")
			var shown strings.Builder
			l := newLive(Screen{W: term, Size: func() (int, int) { return size[0], size[1] }}, at(0))
			play(l, redraw, func(e progress.Event) {
				l.moment(e.At)
				fmt.Fprintf(&shown, "-- %s --\n%s", e.Kind, term)
			})
			fmt.Fprintln(term, "cluster is degraded")
			fmt.Fprintf(&shown, "-- end --\n%s", term)
			golden(t, name+".golden", shown.String())
		})
	}
}

func TestLiveColours(t *testing.T) {
	var out bytes.Buffer
	l := newLive(Screen{W: &out, Color: true, Size: func() (int, int) { return 60, 24 }}, at(0))
	play(l, time.Hour, func(e progress.Event) { l.moment(e.At) })
	for _, want := range []string{"\x1b[33m•\x1b[0m", "\x1b[32m✓\x1b[0m", "\x1b[31m✗\x1b[0m"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is never shown", want)
		}
	}
	if strings.Contains(out.String(), "\x1b[31m_etcd") {
		t.Error("an escape sequence of a DNS record reaches the terminal")
	}
}

// terminal is a small part of a terminal: what live uses and nothing more, so
// that anything else fails the test. It has a scrollback that cannot be
// reached by going up, as in life.
type terminal struct {
	t               *testing.T
	columns, height int
	lines           []string
	row             int
}

func (m *terminal) Write(b []byte) (int, error) {
	text := string(b)
	for text != "" {
		switch {
		case strings.HasPrefix(text, "\x1b["):
			end := strings.IndexFunc(text[2:], func(r rune) bool { return r >= '@' }) + 2
			m.sequence(text[2:end], text[end])
			text = text[end+1:]
		case text[0] == '\r':
			text = text[1:]
		default:
			line, rest, _ := strings.Cut(text, "\n")
			if i := strings.IndexAny(line, "\x1b\r"); i >= 0 {
				line, rest = line[:i], text[i:]
				m.put(line)
				text = rest
				continue
			}
			m.put(line)
			m.row++
			text = rest
		}
	}
	return len(b), nil
}

func (m *terminal) put(s string) {
	for len(m.lines) <= m.row {
		m.lines = append(m.lines, "")
	}
	if n := len([]rune(s)); n >= m.columns && !strings.HasPrefix(s, "✗ start") { // a line that stays may wrap
		m.t.Errorf("line of %d columns on a terminal of %d: %q", n, m.columns, s)
	}
	if s != "" {
		m.lines[m.row] = s
	}
}

func (m *terminal) sequence(parameter string, final byte) {
	switch final {
	case 'A':
		n, err := strconv.Atoi(parameter)
		if err != nil || n >= m.height || n > m.row {
			m.t.Errorf("goes up %q lines from line %d on a terminal of %d", parameter, m.row, m.height)
			return
		}
		m.row -= n
	case 'J':
		m.lines = m.lines[:min(m.row, len(m.lines))]
	case 'K': // each line is written whole, so that put has replaced it
	default:
		m.t.Errorf("sends ESC [ %s %c", parameter, final)
	}
}

func (m *terminal) String() string { return strings.Join(m.lines, "\n") + "\n" }

// guarded is a writer that notices use by two goroutines at once and use after
// the end.
type guarded struct {
	mu    sync.Mutex
	ended bool
	err   error
	n     int
}

func (g *guarded) Write(b []byte) (int, error) {
	if !g.mu.TryLock() {
		g.err = errors.New("written by two goroutines at once")
		return len(b), nil
	}
	defer g.mu.Unlock()
	if g.ended {
		g.err = errors.New("written after Close")
	}
	g.n++
	return len(b), nil
}

func TestProgressEnds(t *testing.T) {
	for name, size := range map[string]func() (int, int){"lines": nil, "live": func() (int, int) { return 80, 24 }} {
		t.Run(name, func(t *testing.T) {
			w := &guarded{}
			p := Printer{Format: Text, Screen: Screen{W: w, Size: size}}.Progress()
			var all sync.WaitGroup
			for i := range 4 {
				all.Go(func() {
					s := progress.Step{Verb: "launch host", Object: fmt.Sprint("etcd-", i), Members: []string{fmt.Sprint("etcd-", i)}}
					for range 50 {
						p.Report(progress.Event{At: time.Now(), Kind: progress.Started, Step: &s})
						p.Report(progress.Event{At: time.Now(), Kind: progress.Done, Step: &s})
					}
				})
			}
			all.Wait()
			p.Close()
			w.ended = true
			p.Report(story()[3])
			p.Close()
			if w.err != nil {
				t.Error(w.err)
			}
			if w.n == 0 {
				t.Error("nothing was written")
			}
		})
	}
}
