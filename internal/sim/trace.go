package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/progress"
)

// trace is what happened, in order, and how often each thing did.
type trace struct {
	entries []entry
	counts  map[string]int
}

type entry struct {
	at                         time.Duration
	who, what, object, outcome string
}

// String is one line: virtual time, who, what, to whom, how it ended.
func (e entry) String() string {
	return strings.TrimRight(fmt.Sprintf("%12.6fs  %-8s %-16s %-34s %s", e.at.Seconds(), e.who, e.what, e.object, e.outcome), " ")
}

// Trace is what has happened so far, a line each.
func (w *World) Trace() []string {
	lines := make([]string, len(w.trace.entries))
	for i, e := range w.trace.entries {
		lines[i] = e.String()
	}
	return lines
}

// Counts says how often each fault, step, refusal and check occurred.
func (w *World) Counts() map[string]int { return w.trace.counts }

func (s *scheduler) log(who, what, object, outcome string) {
	s.trace.entries = append(s.trace.entries, entry{time.Since(s.begun), who, what, object, outcome})
}

func (s *scheduler) count(what string) {
	if s.trace.counts == nil {
		s.trace.counts = map[string]int{}
	}
	s.trace.counts[what]++
}

// told is an event of a loop, before it has its place in the trace.
type told struct {
	by    *Controller
	epoch int
	event progress.Event
}

// Report implements progress.Reporter. What a loop reports itself is in order,
// but its steps report from goroutines of their own: within one batch they are
// sorted by step.
func (c *Controller) Report(e progress.Event) {
	c.w.leave(func() {
		if e.Step == nil {
			c.epoch++
		}
		c.w.told = append(c.w.told, told{c, c.epoch, e})
	})
}

// hear enters events into the trace and lets the invariants see them.
func (w *World) hear(all []told) {
	slices.SortStableFunc(all, func(a, b told) int {
		return cmp.Or(cmp.Compare(a.by.Name, b.by.Name), cmp.Compare(a.epoch, b.epoch), cmp.Compare(step(a.event), step(b.event)))
	})
	for _, t := range all {
		e := t.event
		switch e.Kind {
		case progress.Observed:
			continue
		case progress.Planned:
			var steps []string
			for _, s := range e.Steps {
				steps = append(steps, s.String())
			}
			w.log(t.by.Name, "· plans", strings.Join(steps, ", "), "")
			continue
		case progress.Started:
			w.count("step: " + e.Step.Verb)
		case progress.Refused:
			w.count("refusal: " + strings.Join(e.Step.Rules, " ") + " " + verbOf(e.Step.Verb))
		}
		w.rules.said(e)
		w.log(t.by.Name, "· "+string(e.Kind), step(e), e.Detail+e.Error)
	}
}

func step(e progress.Event) string {
	if e.Step == nil {
		return ""
	}
	return e.Step.String()
}

// verbOf is a refused step without names and numbers of members.
func verbOf(what string) string {
	var words []string
	for _, word := range strings.Fields(what) {
		if !strings.HasPrefix(word, "etcd-") && word != "and" && strings.Trim(word, "0123456789") != "" {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}
