package internal

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestRemedies demands of each text that tells a person what to do that
// testdata/remedies.txt names the test that does it, or says why none can. It
// knows such a text by where it stands: see [told]. Those of package plan are
// held by their types; see plan.Way.
func TestRemedies(t *testing.T) {
	tried := trials(t)
	texts := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || !d.IsDir():
			return err
		case d.Name() == "testdata" || d.Name() == "sim" || d.Name() == "plan":
			return filepath.SkipDir
		}
		files, err := filepath.Glob(filepath.Join(path, "*.go"))
		for _, text := range told(t, files) {
			texts[text] = append(texts[text], path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for text, where := range texts {
		if tried[text] == "" {
			t.Errorf("%s: no trial of %q in testdata/remedies.txt", where, text)
		}
	}
	for text := range tried {
		if texts[text] == nil {
			t.Errorf("testdata/remedies.txt: nobody says %q", text)
		}
	}
}

// trials reads the table: a text, and below it who tries it.
func trials(t *testing.T) map[string]string {
	f, err := os.Open("testdata/remedies.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]string{}
	who := ""
	for in := bufio.NewScanner(f); in.Scan(); {
		switch line := in.Text(); {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "\t"):
			if who == "" || out[strings.TrimPrefix(line, "\t")] != "" {
				t.Errorf("testdata/remedies.txt: %q has no trial, or two", line)
			}
			out[strings.TrimPrefix(line, "\t")] = who
		default:
			who = line
			if !exists(t, who) {
				t.Errorf("testdata/remedies.txt: there is no %s", who)
			}
		}
	}
	return out
}

// exists says whether there is such a trial: a script, or a folder and the name
// of a test in it. A reason why there is none is always there.
func exists(t *testing.T, who string) bool {
	if strings.HasPrefix(who, "untried: ") {
		return true
	}
	where, test, _ := strings.Cut(who, " ")
	if test == "" {
		_, err := os.Stat(filepath.Join("..", where))
		return err == nil
	}
	files, err := filepath.Glob(filepath.Join("..", where, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		b, err := os.ReadFile(file)
		return err == nil && regexp.MustCompile(`(?m)^func `+regexp.QuoteMeta(test)+`\(`).Match(b)
	})
}

var (
	// holders are the fields and variables that hold remedies.
	holders = []string{"Hint", "Do", "hint", "hints", "Remedy", "remedy", "remedies", "damagedServer", "tcpRemedy", "elsewhere"}
	// takers are the functions that take remedies, with how many arguments stand
	// before them; those that take one take it first.
	takers = map[string]int{"WithRemedy": 1, "remedy": 1, "cannot": 2, "broken": 2, "remedyOf": 1, "setupError": 0, "late": 1, "secretFile": 2}
	// givers are the functions whose every text is a remedy.
	givers = []string{"Remedy", "tokenRemedy", "classOf", "addKey", "sameSecret", "rightForKey", "sameTime", "whichZone", "whichServer", "readLog", "openPort", "remedy",
		"overcome", "shellRemedy", "missingRight", "newToken", "sourceOfToken", "rightToEdit", "moreRoom", "smallerBatch"}
)

// told are the texts of remedies in the files of one package: of each that is
// put together, the beginning.
func told(t *testing.T, files []string) []string {
	var out []string
	constants := map[string]ast.Expr{}
	var parsed []*ast.File
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
				for _, s := range g.Specs {
					if v, ok := s.(*ast.ValueSpec); ok && v.Type == nil && len(v.Names) == len(v.Values) {
						for i, name := range v.Names {
							constants[name.Name] = v.Values[i]
						}
					}
				}
			}
		}
	}
	var texts func(n ast.Node)
	texts = func(n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if n.Op == token.ADD {
					texts(n.X)
				}
				return n.Op != token.ADD
			case *ast.Ident:
				if c := constants[n.Name]; c != nil {
					texts(c)
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && sentence.MatchString(text) {
					out = append(out, strings.ReplaceAll(text, "\n", `\n`))
				}
			}
			return true
		})
	}
	for _, f := range parsed {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if slices.Contains(holders, nameOf(n.Key)) {
					texts(n.Value)
				}
			case *ast.AssignStmt:
				for i, l := range n.Lhs {
					if len(n.Lhs) == len(n.Rhs) && slices.Contains(holders, nameOf(l)) {
						texts(n.Rhs[i])
					}
				}
			case *ast.CallExpr:
				if before, ok := takers[nameOf(n.Fun)]; ok && len(n.Args) > before {
					rest := n.Args[before:]
					if before == 0 {
						rest = rest[:1]
					}
					for _, a := range rest {
						texts(a)
					}
				}
			case *ast.FuncDecl:
				if slices.Contains(givers, n.Name.Name) && n.Body != nil {
					texts(n.Body)
				}
			}
			return true
		})
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// sentence tells words for a person from flags, names and separators.
var sentence = regexp.MustCompile(`^[A-Za-z%]\S* \S|^[A-Za-z].*: $`)

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}
