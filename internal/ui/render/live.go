package render

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/progress"
	"github.com/pleiad-etcd/pleiad/internal/ui/foreign"
)

// live shows a stream of events on a terminal: a line for each thing that is
// worked on, redrawn in place, and under them the time that has passed. What is
// worked on is a host or, in the first line, the cluster as a whole.
//
//	✓ cluster        publish records  12ms
//	✓ etcd-k3v9qd2m  start member  31ms
//	• etcd-p7w2xr4b  await members  41ms  does not serve yet
//	  612ms, 14 steps done
//
// Failures are printed above and stay. When it ends, the last picture stays.
type live struct {
	screen Screen
	begun  time.Time
	rows   []*row
	drawn  int // lines on the screen that belong to the picture
	done   int // steps
	dirty  bool
	ended  bool
	failed failures
}

// row is one thing that is worked on.
type row struct {
	name   string
	what   string // verb of the last step that touched it
	detail string
	mark   mark
	since  time.Time
	took   time.Duration
}

// mark says how the last step went, by sign and colour.
type mark struct {
	sign string
	tint tint
}

func working() mark { return mark{"•", yellow} }
func worked() mark  { return mark{"✓", green} }
func broken() mark  { return mark{"✗", red} }

// whole is the name of the row for all that is no host.
const whole = "cluster"

func newLive(s Screen, begun time.Time) *live { return &live{screen: s, begun: begun} }

func (l *live) event(e progress.Event) {
	switch {
	case e.Kind == progress.Planned:
		for _, s := range e.Steps {
			l.touched(s)
		}
		return
	case e.Step == nil || e.Kind == progress.Refused:
		return
	}
	rows := l.touched(*e.Step)
	for _, r := range rows {
		r.what = e.Step.Verb
		switch e.Kind {
		case progress.Started:
			r.mark, r.since, r.detail = working(), e.At, ""
		case progress.Waiting:
			r.detail = about(r, rows, e.Detail)
		case progress.Done:
			r.mark, r.took, r.detail = worked(), e.Took, ""
		case progress.Failed:
			r.mark, r.took, r.detail = broken(), e.Took, ""
		}
	}
	if e.Kind == progress.Done && !e.Step.Waits {
		l.done++
	}
	l.dirty = true
	if e.Kind == progress.Failed && l.failed.news(e) {
		l.above(e.At, "✗ "+failure(e))
	}
}

// touched are the rows of a step: its members', or the cluster's.
func (l *live) touched(s progress.Step) []*row {
	if len(s.Members) == 0 {
		return []*row{l.row(whole)}
	}
	rows := make([]*row, len(s.Members))
	for i, m := range s.Members {
		rows[i] = l.row(m)
	}
	return rows
}

// about is the part of a detail that belongs to one row. Where many rows wait
// the detail often begins with the one that it is about.
func about(r *row, rows []*row, detail string) string {
	for _, other := range rows {
		if rest, ok := strings.CutPrefix(detail, other.name+" "); ok {
			if other == r {
				return rest
			}
			return ""
		}
	}
	return detail
}

func (l *live) row(name string) *row {
	for _, r := range l.rows {
		if r.name == name {
			return r
		}
	}
	r := &row{name: name, mark: mark{sign: " "}}
	l.rows = append(l.rows, r)
	slices.SortStableFunc(l.rows, func(a, b *row) int { return strings.Compare(order(a), order(b)) })
	return r
}

// order puts the cluster first, then the hosts by name.
func order(r *row) string {
	if r.name == whole {
		return ""
	}
	return r.name
}

// moment redraws: what runs has a clock of its own.
func (l *live) moment(now time.Time) {
	if l.dirty || l.drawn > 0 {
		l.draw(now)
	}
}

func (l *live) end(now time.Time) {
	l.ended = true
	if len(l.rows) > 0 {
		l.draw(now)
	}
	l.drawn, l.rows = 0, nil
}

// above prints a line that stays, over the picture.
func (l *live) above(now time.Time, text string) {
	p := &paper{color: l.screen.Color}
	l.erase(p)
	p.tinted(red, "%s", text)
	l.drawn = 0
	l.write(p)
	l.draw(now)
}

// erase goes to the picture's first line and clears to the end of the screen
// (ECMA-48: CUU, ED).
func (l *live) erase(p *paper) {
	if l.drawn > 0 {
		fmt.Fprintf(p, "\x1b[%dA\r\x1b[J", l.drawn)
	}
}

// draw writes the whole picture in one write, over the old one, so that it
// never flickers. Lines are cut to the terminal's width: a line that wraps
// would break the count of lines to go up.
func (l *live) draw(now time.Time) {
	columns, height := l.screen.Size()
	p := &paper{color: l.screen.Color}
	if l.drawn > 0 {
		fmt.Fprintf(p, "\x1b[%dA\r", min(l.drawn, max(1, height-1)))
	}
	rows := l.fitting(height)
	name := 0
	for _, r := range rows {
		name = max(name, len(foreign.Text(r.name)))
	}
	for _, r := range rows {
		p.WriteString(string(p.paint(r.mark.tint, r.mark.sign)) + " " + clip(pad(foreign.Text(r.name), name)+"  "+r.words(now), columns-3) + "\x1b[K\n")
	}
	foot := fmt.Sprintf("  %s, %s done", span(now.Sub(l.begun)), count(l.done, "step"))
	if !l.ended && !slices.ContainsFunc(l.rows, func(r *row) bool { return r.mark == working() }) {
		foot += "; looking at the cluster"
	}
	if hidden := len(l.rows) - len(rows); hidden > 0 {
		foot += ", and " + count(hidden, "more line")
	}
	p.WriteString(string(p.paint(faint, clip(foot, columns-1))) + "\x1b[K\n\x1b[J")
	l.drawn, l.dirty = len(rows)+1, false
	l.write(p)
}

// fitting are the rows that the terminal has room for: those at work first.
func (l *live) fitting(height int) []*row {
	room := max(1, height-2)
	if len(l.rows) <= room {
		return l.rows
	}
	busy := slices.Clone(l.rows)
	slices.SortStableFunc(busy, func(a, b *row) int {
		if (a.mark == working()) == (b.mark == working()) {
			return 0
		}
		if a.mark == working() {
			return -1
		}
		return 1
	})
	return busy[:room]
}

// words say what is done, what it waits for, and how long it has taken.
func (r *row) words(now time.Time) string {
	if r.what == "" {
		return ""
	}
	took := r.took
	if r.mark == working() {
		took = now.Sub(r.since)
	}
	text := foreign.Text(r.what) + "  " + span(max(0, took))
	if r.detail != "" {
		text += "  " + foreign.Text(r.detail)
	}
	return text
}

func (l *live) write(p *paper) {
	_, _ = l.screen.W.Write(p.Bytes()) // as for JSON
}
