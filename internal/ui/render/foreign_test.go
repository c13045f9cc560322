package render

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/pleiad-etcd/pleiad/internal/progress"
)

// hostile is what a record, a log or an error may hold: a title for the
// terminal, colours, C1, an order of its own for the line, a line of its own.
const hostile = "x\x1b]0;title\a\x1b[31m\u009b2J\u0085\u202ey\u2066\u200f\u2028\r\x7f\nline"

// ours are the escape sequences that this package itself writes.
var ours = regexp.MustCompile("\x1b\\[([0-9;]*m|[0-9]+A\r(\x1b\\[J)?|K|J)")

// wantTame wants that nothing in a text steers a terminal but our own sequences.
func wantTame(t *testing.T, text string) {
	t.Helper()
	rest := ours.ReplaceAllString(text, "")
	for _, r := range rest {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || r == '\u2028' || unicode.Is(unicode.Bidi_Control, r) {
			t.Errorf("%U reaches the terminal: %q", r, text)
			return
		}
	}
	if strings.Contains(rest, "\nline") {
		t.Errorf("a value begins a line of its own: %q", text)
	}
}

// fill puts the hostile text into every text of a value.
func fill(v reflect.Value, depth int) {
	if depth > 8 || !v.CanSet() {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(hostile)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), depth+1)
		}
	case reflect.Slice:
		s := reflect.MakeSlice(v.Type(), 2, 2)
		for i := range 2 {
			fill(s.Index(i), depth+1)
		}
		v.Set(s)
	case reflect.Map:
		m := reflect.MakeMap(v.Type())
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, depth+1)
		fill(value, depth+1)
		m.SetMapIndex(key, value)
		v.Set(m)
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		fill(p.Elem(), depth+1)
		v.Set(p)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	case reflect.Interface:
		if e := reflect.ValueOf(fmt.Errorf("%s", hostile)); e.Type().AssignableTo(v.Type()) {
			v.Set(e)
		}
	}
}

// values are pointers to all kinds of values there are.
func values() []any {
	return []any{new(Status), new(Fault), new(Health), new(Road), new(Endpoints), new(Variables), new(Certificate), new(Version), new(Findings), new(Outcome)}
}

func TestNoKindOfValueIsLeftOut(t *testing.T) {
	have := map[string]bool{}
	for _, v := range values() {
		have[reflect.TypeOf(v).Elem().Name()] = true
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if m, ok := d.(*ast.FuncDecl); ok && m.Recv != nil && m.Name.Name == "Kind" {
				if kind, ok := m.Recv.List[0].Type.(*ast.Ident); ok && !have[kind.Name] {
					t.Errorf("values has no %s", kind.Name)
				}
			}
		}
	}
}

// Whatever is in a value, it does nothing to a terminal, in no form of it.
func TestHostileValues(t *testing.T) {
	for _, pointer := range values() {
		fill(reflect.ValueOf(pointer).Elem(), 0)
		v := reflect.ValueOf(pointer).Elem().Interface().(Value)
		for _, p := range []Printer{{Format: Text}, {Format: Text, Screen: Screen{Color: true, Size: func() (int, int) { return 60, 20 }}}, {Format: JSON}} {
			var out strings.Builder
			p.Screen.W = &out
			if err := p.Show(v); err != nil {
				t.Fatal(err)
			}
			if out.Len() == 0 {
				t.Errorf("%s: nothing was printed", v.Kind())
			}
			wantTame(t, out.String())
			if p.Format == JSON && !json.Valid([]byte(out.String())) {
				t.Errorf("%s: not JSON: %q", v.Kind(), out.String())
			}
		}
	}
}

// The same for what is printed while a command works.
func TestHostileEvents(t *testing.T) {
	step := &progress.Step{Verb: hostile, Object: hostile, Members: []string{hostile}}
	for _, p := range []Printer{{Format: Text}, {Format: Text, Screen: Screen{Color: true, Size: func() (int, int) { return 200, 20 }}}, {Format: JSON}} {
		var out strings.Builder
		p.Screen.W = &out
		shown := p.Progress()
		for _, kind := range []progress.Kind{progress.Observed, progress.Planned, progress.Started, progress.Waiting, progress.Failed, progress.Done, progress.Refused, progress.Converged} {
			shown.Report(progress.Event{At: time.Now(), Kind: kind, Step: step, Steps: []progress.Step{*step}, Detail: hostile, Error: hostile})
		}
		shown.Close()
		if !strings.Contains(out.String(), "title") {
			t.Errorf("nothing was printed: %q", out.String())
		}
		wantTame(t, out.String())
	}
}
