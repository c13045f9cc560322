package sidebyside

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
)

// A stream may be cut anywhere.
func TestConnTakesAndGivesAnyPieces(t *testing.T) {
	t.Parallel()
	echo := func(_ context.Context, q []byte) ([]byte, error) { return bytes.ToUpper(q), nil }
	ctx, cancel := context.WithCancel(t.Context())
	c := &conn{ctx: ctx, cancel: cancel, answer: echo}
	for _, b := range append(frame([]byte("one")), frame([]byte("two"))...) {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	var got []byte
	one := make([]byte, 1)
	for {
		n, err := c.Read(one)
		got = append(got, one[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if want := append(frame([]byte("ONE")), frame([]byte("TWO"))...); !bytes.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
}

func FuzzConn(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{0, 3, 'a', 'b', 'c'}, []byte("abc"))
	f.Fuzz(func(t *testing.T, stream, message []byte) {
		if m, rest, ok := unframe(stream); ok && !bytes.Equal(append(frame(m), rest...), stream) {
			t.Errorf("%x taken apart as %x and %x", stream, m, rest)
		}
		if len(message) >= headerSize && answers(message, message) {
			truncated(message)
		}
		ctx, cancel := context.WithCancel(t.Context())
		c := &conn{ctx: ctx, cancel: cancel, answer: func(_ context.Context, q []byte) ([]byte, error) { return q, nil }}
		defer c.Close()
		if _, err := c.Write(stream); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, c)
	})
}
