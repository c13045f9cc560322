// Package render shows values: what a command found out, and what is happening
// while it works. It is the last stage of the data flow: the commands in
// package cli make the values, this package only prints them, as text for
// people or as JSON for programs.
//
// A [Printer] prints one [Value] with Show, and makes the [Progress] that
// prints a stream of events: redrawn in place on a terminal, one plain line per
// step in a pipe, one JSON line per event. Text and JSON are two forms of the same
// value, so that neither can say more than the other.
//
// It promises about JSON: every document and every line is one object that
// begins with "version" and "kind"; within a version fields are added, never
// changed or removed ([JSONVersion]).
//
// It promises about text: no colours and no cursor movement unless Screen says
// that there is a terminal; colour never carries meaning alone; what is in
// values, which may come from anybody's DNS, does nothing to the terminal
// (package foreign).
//
// Why no TUI library: lipgloss asks tmux about its colours by running it, when
// it is merely imported, and a member of the cluster is this same binary. What
// is needed here is bold, three colours, and going up some lines.
package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/pleiad-etcd/pleiad/internal/ui/foreign"
)

// JSONVersion is the version of the JSON form of all values.
const JSONVersion = 1

// Format is the form in which values are printed.
type Format string

// The formats, as --output names them.
const (
	Text Format = "text"
	JSON Format = "json"
)

// Screen is where text goes and what can be done there.
type Screen struct {
	// W takes what is printed.
	W io.Writer
	// Size returns columns and lines of the terminal at this moment; nil where
	// W is none.
	Size func() (columns, lines int)
	// Color says whether colours may be used; only on a terminal.
	Color bool
}

// Value is one thing to show. Its exported fields are its JSON form.
type Value interface {
	// Kind names the value in JSON; it never changes.
	Kind() string
	// text prints the value for people.
	text(p *paper)
}

// Printer prints values in one format. It is not safe for concurrent use.
type Printer struct {
	Format Format
	Screen Screen
}

// Show prints one value. The error is that of the writer.
func (p Printer) Show(v Value) error {
	if p.Format == JSON {
		return writeJSON(p.Screen.W, v.Kind(), v)
	}
	sheet := &paper{color: p.Screen.Color}
	if p.Screen.Size != nil {
		sheet.columns, _ = p.Screen.Size()
	}
	v.text(sheet)
	if _, err := p.Screen.W.Write(sheet.Bytes()); err != nil {
		return fmt.Errorf("print %s: %w", v.Kind(), err)
	}
	return nil
}

// writeJSON writes one object on one line: version, kind, then the fields of v.
func writeJSON(w io.Writer, kind string, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode %s: %w", kind, err)
	}
	fields := bytes.TrimPrefix(b.Bytes(), []byte("{"))
	line := fmt.Appendf(nil, `{"version":%d,"kind":%q`, JSONVersion, kind)
	if !bytes.HasPrefix(fields, []byte("}")) {
		line = append(line, ',')
	}
	if _, err := w.Write(foreign.JSON(append(line, fields...))); err != nil {
		return fmt.Errorf("print %s: %w", kind, err)
	}
	return nil
}
