package spec

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pleiad-etcd/pleiad/internal/converge/spec/option"
)

// maxProblems is how many problems are shown at once; the rest is counted.
const maxProblems = 10

// Error says why a spec cannot be used: all problems, the first first.
type Error struct {
	Problems []Problem
	// More is the number of problems that were found and left out.
	More int
}

// Error prints every problem as [Problem.String] does.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", e.More))
	}
	return strings.Join(lines, "\n")
}

// Problem is one thing that is wrong, where, and what was expected instead.
type Problem struct {
	// File, Line and Column say where; Line and Column count from 1, columns
	// in characters. Line is 0 where the problem is in no line of a file.
	File         string
	Line, Column int
	// Source is the line as it stands in the file, without anything that may
	// be a secret.
	Source string
	// Text is what is wrong and what was expected, on one line.
	Text string
}

// String prints the place and the text on one line and, for a line of a file,
// below it that line with a caret under the place.
func (p Problem) String() string {
	switch {
	case p.File == "":
		return p.Text
	case p.Line == 0:
		return p.File + ": " + p.Text
	}
	source, before := window(p.Source, p.Column-1)
	number := fmt.Sprintf("%4d", p.Line)
	return fmt.Sprintf("%s:%d:%d: %s\n%s | %s\n%s | %s^", p.File, p.Line, p.Column, p.Text,
		number, source, strings.Repeat(" ", len(number)), before)
}

// shown is how much of a long line is printed, in characters.
const shown = 100

// window cuts a long line down to the surroundings of a column and returns it
// with the blanks that lead up to that column below it. Tabs stay tabs, so that
// the caret stands right however wide they are.
func window(line string, column int) (source, before string) {
	runes := []rune(line)
	column = min(max(column, 0), len(runes))
	from := 0
	if column > shown*3/4 {
		from = column - shown/2
	}
	to := min(len(runes), from+shown)
	blanks := []rune(nil)
	for _, c := range runes[from:column] {
		if c != '\t' {
			c = ' '
		}
		blanks = append(blanks, c)
	}
	source, before = string(runes[from:to]), string(blanks)
	if from > 0 {
		source, before = "…"+source, " "+before
	}
	if to < len(runes) {
		source += "…"
	}
	return strings.TrimRight(source, " \t"), before
}

// report makes an error of problems, or nil if there are none.
func report(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	e := &Error{Problems: problems}
	if len(problems) > maxProblems {
		e.Problems, e.More = problems[:maxProblems:maxProblems], len(problems)-maxProblems
	}
	return e
}

// display prints a value within a message: short, on one line, and in quotes
// where it is not one plain word.
func display(value string) string {
	const most = 60
	if u := userinfo().FindStringIndex(value); u != nil {
		value = value[:u[0]] + "://…"
	}
	if utf8.RuneCountInString(value) > most {
		value = string([]rune(value)[:most]) + "…"
	}
	if plainWord().MatchString(value) {
		return value
	}
	return fmt.Sprintf("%q", value)
}

func plainWord() *regexp.Regexp { return regexp.MustCompile(`^[\pL\pN/._:@+~…-]+$`) }

// redact hides what stands after a key that may hold a secret: no key of a
// spec does, but somebody may try, and a message is copied around (rule R15).
func redact(line string) string {
	secret := regexp.MustCompile(`(?i)([\w-]*(?:secret|passw(?:or)?d|token|key))["']?\s*:\s*`)
	for _, m := range secret.FindAllStringSubmatchIndex(line, -1) {
		if m[1] < len(line) && !slices.Contains(option.Names(), line[m[2]:m[3]]) {
			line = line[:m[1]] + "…"
			break
		}
	}
	if u := userinfo().FindStringIndex(line); u != nil {
		line = line[:u[0]] + "://…"
	}
	return line
}

// userinfo is where a URL names somebody, perhaps with a password.
func userinfo() *regexp.Regexp { return regexp.MustCompile(`://[^/\s]*@`) }
