// Package progress says what is happening, as data: one stream of events from
// the loop, which text, live view, JSON and tests render each in their way.
// It stands between converge, which reports, and ui, which shows.
//
// Events are facts, in the order they happened, and complete: whoever reads
// them all knows every step that was taken and how it ended.
package progress

import "time"

// Kind is what kind of thing happened. The values are part of the JSON output.
type Kind string

// The kinds.
const (
	// Observed: the state was read; what follows is planned from it.
	Observed Kind = "observed"
	// Planned: Steps is the next batch.
	Planned Kind = "planned"
	// Started and then Done or Failed: one step of the batch.
	Started Kind = "started"
	Done    Kind = "done"
	Failed  Kind = "failed"
	// Waiting: the running step waits for what Detail says.
	Waiting Kind = "waiting"
	// Refused: a step was not taken; Step.Rules holds the rule, Detail the evidence.
	Refused Kind = "refused"
	// Converged: nothing is left to do and everything agrees.
	Converged Kind = "converged"
)

// Step names one step for people and scripts.
type Step struct {
	Verb   string `json:"verb"`
	Object string `json:"object"`
	// Members are those whose hosts are changed or waited for; none where it is
	// the cluster as a whole.
	Members []string `json:"members,omitempty"`
	// Destroys says that it removes what cannot be had back.
	Destroys bool `json:"destroys,omitempty"`
	// Waits says that it changes nothing. Such a step is not counted: how often
	// it is needed is not known beforehand.
	Waits  bool     `json:"waits,omitempty"`
	Why    string   `json:"why,omitempty"`
	Rules  []string `json:"rules,omitempty"`
	Quorum string   `json:"quorum,omitempty"`
}

// String is the step without its reason.
func (s Step) String() string { return s.Verb + " " + s.Object }

// Event is one thing that happened.
type Event struct {
	At   time.Time `json:"at"`
	Kind Kind      `json:"kind"`
	// Step is set for Started, Done, Failed, Waiting and Refused.
	Step *Step `json:"step,omitempty"`
	// Steps and Together are set for Planned.
	Steps    []Step `json:"steps,omitempty"`
	Together bool   `json:"together,omitempty"`
	// Took is how long a step took, set for Done and Failed, in nanoseconds.
	Took   time.Duration `json:"took,omitempty"`
	Detail string        `json:"detail,omitempty"`
	Error  string        `json:"error,omitempty"`
}

// Reporter receives events, from several goroutines at once.
type Reporter interface {
	Report(Event)
}

// Discard is a Reporter that nobody reads.
type Discard struct{}

// Report implements Reporter.
func (Discard) Report(Event) {}
