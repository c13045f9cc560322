// Package foreign makes text harmless that others wrote: logs of members, lock
// files, records from anybody's DNS, errors that quote any of them. Printed as
// it is, such text could steer a terminal, by control characters of ASCII or of
// Latin-1 (ECMA-48: C0 and C1), reorder a line so that it reads as another, or
// begin a line of its own.
//
// [Text] is for one line, [Writer] for all that is printed, [JSON] for what
// programs read. Everything that the command line prints goes through one of
// them; package cli sees to that.
package foreign

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// steers says whether a character does something to a terminal or to the line
// that it stands in. A tab is harmless, and stands in lines of files that are
// shown.
func steers(r rune) bool {
	return unicode.IsControl(r) && r != '\t' || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}

// Text is a text on one line, with U+FFFD in the place of every character that
// steers and of every byte that is not UTF-8.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		if steers(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// JSON is the same JSON with every character escaped that steers: encoding/json
// leaves some as they are. They can only stand in strings.
func JSON(text []byte) []byte {
	var out bytes.Buffer
	for _, r := range string(text) {
		if steers(r) && r != '\n' {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.Bytes()
}

// Writer passes on what is written to it as [Text] does, but for the ends of
// lines. It is safe for concurrent use.
func Writer(w io.Writer) io.Writer { return &writer{to: w} }

type writer struct {
	to   io.Writer
	mu   sync.Mutex
	rest []byte // the beginning of a character of which the rest has not come yet
}

// Write implements io.Writer. What it passes on may be longer than b.
func (w *writer) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := append(w.rest, b...)
	whole := len(text)
	for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
		if last := text[len(text)-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				whole -= i
			}
			break
		}
	}
	w.rest = bytes.Clone(text[whole:])
	lines := strings.Split(string(text[:whole]), "\n")
	for i := range lines {
		lines[i] = Text(lines[i])
	}
	if _, err := io.WriteString(w.to, strings.Join(lines, "\n")); err != nil {
		return 0, err
	}
	return len(b), nil
}
