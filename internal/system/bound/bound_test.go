package bound

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// endless sends the same byte for ever, and counts.
type endless struct {
	letter byte
	sent   int
}

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = e.letter
	}
	e.sent += len(b)
	return len(b), nil
}

func TestReadAll(t *testing.T) {
	for text, long := range map[string]bool{"": false, "1234": false, "12345": true} {
		b, err := ReadAll(strings.NewReader(text), 4)
		if errors.Is(err, ErrTooLong) != long || !long && (err != nil || string(b) != text) || long && b != nil {
			t.Errorf("%q: %q, %v", text, b, err)
		}
	}
	e := &endless{letter: 'x'}
	if _, err := ReadAll(e, 1000); !errors.Is(err, ErrTooLong) || e.sent > 1001 {
		t.Errorf("%v after %d bytes", err, e.sent)
	}
}

func TestDecoder(t *testing.T) {
	small := strings.Repeat(`{"a":"12345678"}`+"\n", 100)
	d := NewDecoder(strings.NewReader(small), 32)
	for i := range 100 {
		var v struct{ A string }
		if err := d.Decode(&v); err != nil || v.A != "12345678" {
			t.Fatalf("value %d: %+v, %v: the bound is for each value", i, v, err)
		}
	}
	if err := d.Decode(&struct{}{}); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	for _, letter := range []byte(`x" [{`) {
		e := &endless{letter: letter}
		d := NewDecoder(io.MultiReader(strings.NewReader(`{"a":"`), e), 1<<16)
		if err := d.Decode(&struct{ A string }{}); err == nil || e.sent > 1<<16 {
			t.Errorf("%q without end: %v after %d bytes", letter, err, e.sent)
		}
	}
}
