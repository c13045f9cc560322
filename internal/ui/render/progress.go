package render

import (
	"fmt"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/progress"
)

// Progress prints events as they happen. It is safe for concurrent use. Close
// ends it and leaves on the screen what is final; nothing is printed later.
type Progress interface {
	progress.Reporter
	Close()
}

// Progress begins to print a stream of events: as JSON lines, redrawn in place
// if the screen has a size, else as plain lines.
func (p Printer) Progress() Progress {
	switch {
	case p.Format == JSON:
		return &jsonProgress{screen: p.Screen}
	case p.Screen.Size != nil:
		return tick(newLive(p.Screen, time.Now()), redraw)
	}
	return tick(newLines(p.Screen, time.Now()), time.Second)
}

// Intervals of the clock.
const (
	redraw = 80 * time.Millisecond
	// patience is how long a step runs before a plain line says that it does,
	// and between two of these.
	patience = 5 * time.Second
)

type jsonProgress struct {
	mu     sync.Mutex
	screen Screen
}

// Report implements progress.Reporter. There is nobody to tell of an error of
// the writer; what follows the events is shown with one.
func (j *jsonProgress) Report(e progress.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	_ = writeJSON(j.screen.W, string(e.Kind), struct {
		At time.Time `json:"at"`
		fields
	}{e.At, fields{e.Step, e.Steps, e.Together, e.Took, e.Detail, e.Error}})
}

// fields are those of progress.Event less the kind, which stands first.
type fields struct {
	Step     *progress.Step  `json:"step,omitempty"`
	Steps    []progress.Step `json:"steps,omitempty"`
	Together bool            `json:"together,omitempty"`
	Took     time.Duration   `json:"took,omitempty"`
	Detail   string          `json:"detail,omitempty"`
	Error    string          `json:"error,omitempty"`
}

// Close implements Progress.
func (*jsonProgress) Close() {}

// scene is what a clock drives: it changes by events and by time alone, so
// that tests play it without a clock. It is used by one goroutine at a time.
type scene interface {
	event(progress.Event)
	moment(now time.Time)
	end(now time.Time)
}

// ticking is a Progress made of a scene and a clock.
type ticking struct {
	mu    sync.Mutex
	scene scene
	stop  chan struct{}
	clock sync.WaitGroup
	ended bool
}

func tick(s scene, every time.Duration) *ticking {
	t := &ticking{scene: s, stop: make(chan struct{})}
	t.clock.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-t.stop:
				return
			case now := <-ticker.C:
				t.mu.Lock()
				t.scene.moment(now)
				t.mu.Unlock()
			}
		}
	})
	return t
}

// Report implements progress.Reporter.
func (t *ticking) Report(e progress.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.scene.event(e)
	}
}

// Close implements Progress.
func (t *ticking) Close() {
	t.mu.Lock()
	ended := t.ended
	t.ended = true
	t.mu.Unlock()
	if ended {
		return
	}
	close(t.stop)
	t.clock.Wait()
	t.scene.end(time.Now())
}

// lines prints a plain line when something is known: a step is done, failed,
// waits for something else than before, or still runs.
type lines struct {
	screen  Screen
	begun   time.Time
	running []*run
	failed  failures
}

// failures remembers how steps failed, so that one that is tried again and
// fails in the same way is told once.
type failures map[string]bool

// news says whether a failure has not been told yet.
func (f *failures) news(e progress.Event) bool {
	if *f == nil {
		*f = failures{}
	}
	text := failure(e)
	told := (*f)[text]
	(*f)[text] = true
	return !told
}

// run is a step between its Started and its end.
type run struct {
	step   progress.Step
	since  time.Time
	detail string
	// told is when the last line about it was printed.
	told time.Time
}

func newLines(s Screen, begun time.Time) *lines { return &lines{screen: s, begun: begun} }

func (l *lines) event(e progress.Event) {
	if e.Step == nil {
		return
	}
	r := find(l.running, *e.Step)
	switch {
	case e.Kind == progress.Started:
		l.running = append(l.running, &run{step: *e.Step, since: e.At, told: e.At})
	case e.Kind == progress.Waiting && r != nil:
		r.detail, r.told = e.Detail, e.At
		l.print(e.At, "waiting", fmt.Sprintf("%s: %s", e.Step, e.Detail))
	case e.Kind == progress.Done:
		l.running = without(l.running, r)
		l.print(e.At, "done", fmt.Sprintf("%s (%s)", e.Step, span(e.Took)))
	case e.Kind == progress.Failed:
		l.running = without(l.running, r)
		if l.failed.news(e) {
			l.print(e.At, "failed", failure(e))
		}
	}
}

// failure is an error without the step's name where it begins with that.
func failure(e progress.Event) string {
	if prefix := e.Step.String() + ": "; len(e.Error) > len(prefix) && e.Error[:len(prefix)] == prefix {
		return e.Error
	}
	return e.Step.String() + ": " + e.Error
}

func (l *lines) moment(now time.Time) {
	for _, r := range l.running {
		if now.Sub(r.told) < patience {
			continue
		}
		r.told = now
		text := fmt.Sprintf("%s, for %s", r.step, span(now.Sub(r.since)))
		if r.detail != "" {
			text += ": " + r.detail
		}
		l.print(now, "running", text)
	}
}

func (l *lines) end(time.Time) {}

func (l *lines) print(at time.Time, word, text string) {
	var p paper
	p.line("%8ss  %-7s  %s", seconds(at.Sub(l.begun)), word, text)
	_, _ = l.screen.W.Write(p.Bytes()) // as for JSON
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f", max(0, d).Seconds()) }

func find(runs []*run, s progress.Step) *run {
	for _, r := range runs {
		if r.step.Verb == s.Verb && r.step.Object == s.Object {
			return r
		}
	}
	return nil
}

func without(runs []*run, gone *run) []*run {
	var out []*run
	for _, r := range runs {
		if r != gone {
			out = append(out, r)
		}
	}
	return out
}
