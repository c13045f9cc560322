package render

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"

	"github.com/pleiad-etcd/pleiad/internal/ui/foreign"
)

// tint is how a piece of text stands out, as parameters of the escape sequence
// SGR (ECMA-48, 8.3.117). Only the eight colours that every terminal lets its
// user choose, so that they are readable on any background.
type tint string

const (
	plain  tint = ""
	bold   tint = "1"
	faint  tint = "2"
	red    tint = "31"
	green  tint = "32"
	yellow tint = "33"
)

// paper collects text before it is written.
type paper struct {
	bytes.Buffer
	color   bool
	columns int // of the terminal; 0 where there is none
}

// line prints one line. Arguments are cleaned of control characters.
func (p *paper) line(format string, args ...any) {
	p.WriteString(phrase(format, args) + "\n")
}

// tinted prints one line that stands out.
func (p *paper) tinted(t tint, format string, args ...any) {
	p.WriteString(string(p.paint(t, phrase(format, args))) + "\n")
}

// ink is text that is ready to be printed: clean, and painted.
type ink string

// paint makes clean text stand out.
func (p *paper) paint(t tint, s string) ink {
	if !p.color || t == plain || s == "" {
		return ink(s)
	}
	return ink("\x1b[" + string(t) + "m" + s + "\x1b[0m")
}

func phrase(format string, args []any) string {
	cleaned := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case ink, int:
			cleaned[i] = a
		default:
			cleaned[i] = foreign.Text(fmt.Sprint(a))
		}
	}
	return fmt.Sprintf(format, cleaned...)
}

// folded prints one line and, where a terminal is too narrow for it, breaks it
// between words. Only for prose: what is to be copied must stay on one line.
func (p *paper) folded(indent string, format string, args ...any) {
	words := strings.Split(phrase(format, args), " ")
	line := words[0]
	for _, word := range words[1:] {
		if p.columns > 0 && displaywidth.String(line)+1+displaywidth.String(word) >= p.columns {
			p.WriteString(line + "\n")
			line = indent + word
		} else {
			line += " " + word
		}
	}
	p.WriteString(line + "\n")
}

// hanging prints prose that begins in a column, and breaks it between words
// where a terminal is too narrow for it, so that it stays in its column.
func (p *paper) hanging(column int, text string) {
	at := column
	for i, word := range strings.Split(foreign.Text(text), " ") {
		width := displaywidth.String(word)
		switch {
		case i == 0:
		case p.columns > 0 && at > column && at+1+width >= p.columns:
			p.WriteString("\n" + strings.Repeat(" ", column))
			at = column
		default:
			p.WriteString(" ")
			at++
		}
		p.WriteString(word)
		at += width
	}
	p.WriteString("\n")
}

// list prints values under a label, a line each.
func (p *paper) list(label string, values []string) {
	for _, v := range values {
		p.line("  %-10s%s", label, v)
		label = ""
	}
}

// cell is one field of a table.
type cell struct {
	text string
	tint tint
}

// table prints rows of equal length in columns as wide as their widest cell,
// two spaces apart. On a terminal that is too narrow it leaves out columns from
// the right, but keeps the first keep.
func (p *paper) table(rows [][]cell, keep int) {
	var widths []int
	for _, row := range rows {
		for i := range row {
			row[i].text = foreign.Text(row[i].text)
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], displaywidth.String(row[i].text))
		}
	}
	shown, total := 0, -2
	for i, w := range widths {
		if total += w + 2; i < keep || p.columns == 0 || total < p.columns {
			shown = i + 1
		}
	}
	for _, row := range rows {
		row = row[:shown]
		var b strings.Builder
		for i, c := range row {
			b.WriteString(string(p.paint(c.tint, c.text)))
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-displaywidth.String(c.text)+2))
			}
		}
		p.WriteString(strings.TrimRight(b.String(), " ") + "\n")
	}
}

// clip cuts a cleaned line to a width in columns.
func clip(s string, width int) string { return displaywidth.TruncateString(s, width, "…") }

// pad fills a cleaned text up to a width in columns.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-displaywidth.String(s)))
}

// span prints a duration as short as a person needs it.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// Size prints a number of bytes in powers of 1000.
func Size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1000*1000*1000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// count prints a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// join prints words for people: "a, b and c".
func join(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
