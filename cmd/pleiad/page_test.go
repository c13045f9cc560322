//go:build unix

package main

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// section is a part of a page of docs with what it tells a person to type, a command a
// line.
type section struct {
	heading  string
	commands []string
	typed    bool
}

// sections reads a page. Indented lines are commands; what is between fences is output.
func sections(text string) []*section {
	now := &section{}
	out := []*section{now}
	fenced := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		title, heading := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		command, indented := strings.CutPrefix(line, "    ")
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case fenced:
		case strings.HasPrefix(line, "#") && heading:
			now = &section{heading: title}
			out = append(out, now)
		case indented:
			now.commands = append(now.commands, command)
		}
	}
	return out
}

type pagesKey struct{}

// pages are those that a script has opened, by name.
type pages map[string][]*section

// page types what a section of a page says, a line each, as it is printed but for the
// replacements; whoever reads it answers yes where pleiad asks. plan, health and doctor
// may find something.
func page(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: page FILE HEADING [FROM=TO...]")
	}
	var swap []string
	for _, a := range args[2:] {
		from, to, _ := strings.Cut(a, "=")
		swap = append(swap, from, to)
	}
	found := false
	for _, s := range opened(ts, args[0]) {
		if s.heading != args[1] {
			continue
		}
		found, s.typed = len(s.commands) > 0, true
		for _, line := range s.commands {
			line = strings.NewReplacer(swap...).Replace(line)
			for _, asks := range []string{"pleiad replace ", "pleiad destroy", "pleiad take-over"} {
				if strings.HasPrefix(line, asks) {
					line += " --yes"
				}
			}
			ts.Logf("[typed] %s", line)
			if err := ts.Exec("sh", "-c", line); err != nil && !finds(line, err) {
				ts.Fatalf("%s: %v", line, err)
			}
		}
	}
	if !found {
		ts.Fatalf("%s has no commands under %q", args[0], args[1])
	}
}

// finds says that a command ended so because of what it found.
func finds(line string, err error) bool {
	exit := new(exec.ExitError)
	if !errors.As(err, &exit) {
		return false
	}
	for command, codes := range map[string][]int{"pleiad plan": {2, 5}, "pleiad health": {1}, "pleiad doctor": {1}, "pleiad status -f": {6}} {
		if strings.HasPrefix(line, command) && slices.Contains(codes, exit.ExitCode()) {
			return true
		}
	}
	return false
}

// typed wants that every section with commands of the pages that were opened was typed.
func typed(ts *testscript.TestScript, _ bool, _ []string) {
	all := ts.Value(pagesKey{}).(pages)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, s := range all[name] {
			if len(s.commands) > 0 && !s.typed {
				ts.Fatalf("%s: nobody has typed what is under %q", name, s.heading)
			}
		}
	}
}

func opened(ts *testscript.TestScript, name string) []*section {
	all := ts.Value(pagesKey{}).(pages)
	if all[name] == nil {
		text, err := os.ReadFile(ts.MkAbs(ts.Getenv("DOCS") + "/" + name))
		ts.Check(err)
		all[name] = sections(string(text))
	}
	return all[name]
}
