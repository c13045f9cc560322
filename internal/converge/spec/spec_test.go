package spec

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// The stories: each NAME.yaml is followed by NAME.out, what comes of it, and
// whether an editor with our schema would have said so.
// verdict is what an editor would say of a file.
// What has no place in a text file of stories.
func TestBytesThatAreNoText(t *testing.T) {
	for in, want := range map[string]string{
		"\ufeffcluster: dev\r\ndomain: dev.test\r\n": "",
		"cluster: dev\rdomain: dev.test\n":           "f:1:13: control character U+000D; expected text",
		"cluster: dev\ndomain: \x00\n":               "f:2:9: control character U+0000; expected text",
		"cluster: d\xffev\n":                         "f:1:11: not UTF-8; expected text",
		"cluster: \u2028dev\n":                       "f:1:10: control character U+2028; expected text",
		strings.Repeat("#", 16<<10+1):                "f: 16385 bytes long; expected a spec, of at most 16384",
		"cluster: dev\ndomain: \"\\t\"\n":            `f:2:9: domain "\t": holds a control character; expected text`,
		"cluster: dev\ndomain: dev.test":             "",
		"cluster: dev\r\ndomian: dev.test\r\n":       "f:2:1: unknown key domian; did you mean domain?",
		strings.Repeat("- ", 2000) + "x\n":           "f:1:21: nested too deep; expected a spec",
	} {
		_, err := Parse("f", []byte(in))
		got := ""
		if err != nil {
			got, _, _ = strings.Cut(err.Error(), "\n")
		}
		if got != want {
			t.Errorf("%.40q: %q, want %q", in, got, want)
		}
	}
}

func TestProblemsAreValues(t *testing.T) {
	_, err := Parse("f.yaml", []byte("cluster: dev\ndomain: dev.test\nmembers: 4\n"))
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is no *Error", err)
	}
	want := []Problem{{File: "f.yaml", Line: 3, Column: 10, Source: "members: 4",
		Text: "members 4: no safer than 3: either tolerates the loss of 1; expected 1, 3, 5, 7 or 9"}}
	if diff := cmp.Diff(want, e.Problems); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDefaultNeedsNoFile(t *testing.T) {
	got, err := Parse("f", []byte("cluster: dev\ndomain: dev.test\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), got); diff != "" {
		t.Errorf("the least file is not the default (-default +file):\n%s", diff)
	}
}

// The schema and the parser know the same keys, and both say what each means.
func TestNearest(t *testing.T) {
	for word, want := range map[string]string{
		"membres": "members", "member": "members", "MEMBERS": "members", "discovery_name": "discoveryName",
		"clutser": "cluster", "x": "", "region": "", "": "", "host": "hosts", "dn": "",
	} {
		if got := nearest(word, names(keys())); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

// drawSpec draws any valid spec.
// Flags change a spec that a cluster already has, and nothing else of it.
// FuzzParse: no input makes the parser panic, every refusal has a place, and
// an accepted spec is written and read to the same.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		story, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, one := range story.Files {
			if strings.HasSuffix(one.Name, ".yaml") {
				f.Add(one.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return // the YAML parser's time grows faster than its input
		}
		s, err := Parse(FileName, data)
		if err != nil {
			checkError(t, data, err)
			return
		}
		again, err := Parse(FileName, Encode(s))
		if err != nil {
			t.Fatalf("written as\n%s\nit is refused: %v", Encode(s), err)
		}
		if diff := cmp.Diff(s, again, byValue); diff != "" {
			t.Fatalf("-first +again:\n%s", diff)
		}
	})
}

func checkError(t *testing.T, data []byte, err error) {
	var e *Error
	if !errors.As(err, &e) || len(e.Problems) == 0 || len(e.Problems) > maxProblems {
		t.Fatalf("%T with %d problems", err, len(e.Problems))
	}
	lines := bytes.Count(data, []byte("\n")) + 1
	for _, p := range e.Problems {
		if p.Text == "" || p.Line < 0 || p.Line > lines || p.Line > 0 && p.Column < 1 {
			t.Fatalf("a problem without a place: %+v", p)
		}
		if strings.Count(p.String(), "\n") > 2 {
			t.Fatalf("more than three lines: %q", p)
		}
	}
}
