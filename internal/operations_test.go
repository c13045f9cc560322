package internal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestOperations demands that docs/operations.md explains whatever status can say: the
// differences of package verify, what is below the heading, and the words of HEALTH.
func TestOperations(t *testing.T) {
	raw, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(raw)), " ")
	said := append(formats(t, "converge/verify/verify.go", "say", 1), formats(t, "ui/render/status.go", "line", 0)...)
	said = append(said, formats(t, "ui/render/status.go", "tinted", 1)...)
	said = append(said, "healthy", "unhealthy", "down", "waiting", "unknown", "gone", "leader", "voter", "learner", "bootstrapping", "sealed", "destroying",
		"tolerates no failure", "members unknown", "joins in the place of", "leaves", "is restarted", "wrong address", "which is due")
	if len(said) < 50 {
		t.Fatalf("only %d texts were found: %q", len(said), said)
	}
	for _, text := range said {
		if !strings.Contains(page, text) {
			t.Errorf("docs/operations.md does not explain %q", text)
		}
	}
}

// formats are the texts in calls of a function, each without the values in it: the
// longest part between them.
func formats(t *testing.T, file, function string, before int) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || nameOf(call.Fun) != function || len(call.Args) <= before {
			return true
		}
		text, ok := call.Args[before].(*ast.BasicLit)
		if !ok {
			return true
		}
		format, err := strconv.Unquote(text.Value)
		if err != nil {
			t.Fatal(err)
		}
		parts := verb.Split(format, -1)
		longest := strings.TrimSpace(slices.MaxFunc(parts, func(a, b string) int { return len(a) - len(b) }))
		if len(longest) > 2 {
			out = append(out, strings.Trim(longest, ":;, "))
		}
		return true
	})
	return out
}

// verb is where a value stands in a format.
var verb = regexp.MustCompile(`%[a-zA-Z]`)
