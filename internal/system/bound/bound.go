// Package bound reads what comes from elsewhere, and never more than was agreed.
// A sender that never stops costs a bounded amount of memory and gets an error.
//
// [ReadAll] is for a stream that ends, [NewDecoder] for a stream of JSON values
// each of which is bounded. For files see package untrusted.
package bound

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrTooLong is the error of everything that is longer than agreed.
var ErrTooLong = errors.New("too long")

func tooLong(most int64) error { return fmt.Errorf("%w: more than %d bytes", ErrTooLong, most) }

// ReadAll is io.ReadAll for at most so many bytes. What is longer is an error,
// not cut off: half of a message is not a message.
func ReadAll(r io.Reader, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if int64(len(b)) > most {
		return nil, tooLong(most)
	}
	return b, err
}

// Decoder is a json.Decoder that takes a bounded number of bytes for each value.
type Decoder struct {
	json *json.Decoder
	from *allowance
}

// NewDecoder reads values of at most so many bytes each. It reads ahead, and so
// notices a value that is somewhat longer only when that is decoded.
func NewDecoder(r io.Reader, most int64) *Decoder {
	from := &allowance{reader: r, most: most}
	return &Decoder{json: json.NewDecoder(from), from: from}
}

// Decode is as json.Decoder has it. After ErrTooLong nothing more can be read.
func (d *Decoder) Decode(v any) error {
	d.from.left = d.from.most
	return d.json.Decode(v)
}

// allowance is a reader that gives no more than it has left.
type allowance struct {
	reader     io.Reader
	most, left int64
}

// Read implements io.Reader.
func (a *allowance) Read(b []byte) (int, error) {
	if a.left <= 0 {
		return 0, tooLong(a.most)
	}
	n, err := a.reader.Read(b[:min(int64(len(b)), a.left)])
	a.left -= int64(n)
	return n, err
}
