package cluster

import (
	"encoding/json"
	"reflect"
	"testing"
)

// What was not looked for is unknown, whatever its value would be; and so is what
// could not be seen, here and on the way to another program.
func TestUnknownIsNotAbsent(t *testing.T) {
	why := Why{Text: "no answer", Denied: true, Lasting: true, Remedy: []string{"ask again"}}
	for name, s := range map[string]Seen[int]{"zero": {}, "unknown": Unknown[int]("no answer"), "denied": UnknownFor[int](why)} {
		if v, known := s.Get(); known || v != 0 || s.Known() || s.Or(7) != 7 {
			t.Errorf("%s: it is known: %+v", name, s)
		}
		if s.Tried() == (name == "zero") || s.Why().Text == "" {
			t.Errorf("%s: tried %t, because %q", name, s.Tried(), s.Why())
		}
		s.Edit(func(v *int) { *v = 1 })
		if s.Known() || s.Or(0) != 0 {
			t.Errorf("%s: an edit made it known", name)
		}
		if again := sent(t, s); again.Known() || !reflect.DeepEqual(again.Why(), s.Why()) {
			t.Errorf("%s: it arrives as %+v", name, again)
		}
	}
	var host Host
	if host.Node.Known() || host.Runs() {
		t.Error("a host that nobody has looked at is known")
	}
}

// A known zero is known: absence.
func TestAbsentIsKnown(t *testing.T) {
	s := Known(0)
	if v, known := s.Get(); !known || v != 0 || s.Or(7) != 0 || !s.Tried() || s.Why().Text != "" {
		t.Errorf("it is unknown: %+v", s)
	}
	if again := sent(t, s); !again.Equal(s) {
		t.Errorf("it arrives as %+v", again)
	}
	s.Edit(func(v *int) { *v = 1 })
	if s.Or(0) != 1 || s.Equal(Known(0)) {
		t.Errorf("it was not edited: %+v", s)
	}
}

// sent is what arrives of s on the other side of the wire.
func sent(t *testing.T, s Seen[int]) (out Seen[int]) {
	t.Helper()
	b, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}
