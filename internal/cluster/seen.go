package cluster

import (
	"encoding/json"
	"reflect"
)

// Seen is something that was looked for: its value, or why it could not be
// seen. Unknown is never the same as absent: an absent thing is a known value
// that says so (nil, false, an empty list). The value cannot be had without
// asking whether it is known. The zero value was not looked for.
type Seen[T any] struct {
	known bool
	value T
	why   Why
}

// Why is the reason that something is unknown.
type Why struct {
	// Text is the reason in one line.
	Text string
	// Denied says that the other side refuses to answer us.
	Denied bool
	// Unasked says that nobody was asked, because this side could not.
	Unasked bool
	// Lasting says that another look will find the same, until a person has
	// changed something.
	Lasting bool
	// Remedy is what a person can do, a line each; nil if nobody knows.
	Remedy []string
}

// String is the reason in one line.
func (w Why) String() string { return w.Text }

// Known wraps a value that was seen.
func Known[T any](v T) Seen[T] { return Seen[T]{known: true, value: v} }

// Unknown says why something could not be seen.
func Unknown[T any](why string) Seen[T] { return UnknownFor[T](Why{Text: why}) }

// UnknownFor says why something could not be seen, and what can be done.
func UnknownFor[T any](why Why) Seen[T] { return Seen[T]{why: why} }

// Tried says whether the thing was looked for.
func (s Seen[T]) Tried() bool { return s.known || s.why.Text != "" }

// Known says whether the thing was seen.
func (s Seen[T]) Known() bool { return s.known }

// Get is the value, and whether it is known. An unknown value is zero.
func (s Seen[T]) Get() (T, bool) { return s.value, s.known }

// Or is the value, or what is to be taken in its place where it is unknown.
func (s Seen[T]) Or(instead T) T {
	if !s.known {
		return instead
	}
	return s.value
}

// Edit changes a value that is known.
func (s *Seen[T]) Edit(change func(*T)) {
	if s.known {
		change(&s.value)
	}
}

// Equal says whether both are known and the same, or unknown for the same reason.
func (s Seen[T]) Equal(t Seen[T]) bool { return reflect.DeepEqual(s, t) }

// shown is how a Seen is written.
type shown[T any] struct {
	Value   T        `json:"value"`
	Unknown string   `json:"unknown,omitempty"`
	Denied  bool     `json:"denied,omitempty"`
	Unasked bool     `json:"unasked,omitempty"`
	Lasting bool     `json:"lasting,omitempty"`
	Remedy  []string `json:"remedy,omitempty"`
}

// MarshalJSON writes the value, or why it is unknown.
func (s Seen[T]) MarshalJSON() ([]byte, error) {
	w := s.Why()
	return json.Marshal(shown[T]{Value: s.value, Unknown: w.Text, Denied: w.Denied, Unasked: w.Unasked, Lasting: w.Lasting, Remedy: w.Remedy})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Seen[T]) UnmarshalJSON(b []byte) error {
	var in shown[T]
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*s = Seen[T]{known: in.Unknown == "", value: in.Value, why: Why{Text: in.Unknown, Denied: in.Denied, Unasked: in.Unasked, Lasting: in.Lasting, Remedy: in.Remedy}}
	return nil
}

// Why is the reason that the value is unknown; zero if it is known.
func (s Seen[T]) Why() Why {
	if !s.Tried() {
		return Why{Text: "it was not looked for"}
	}
	return s.why
}
