package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// constants are the exit codes as the source declares them.
func constants(t *testing.T) map[string]Exit {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "exit.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Exit{}
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := v.Type.(*ast.Ident); ok && kind.Name == "Exit" {
			code, err := strconv.Atoi(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			out[v.Names[0].Name] = Exit(code)
		}
		return true
	})
	return out
}

func TestExitCodesPageListsAll(t *testing.T) {
	all := constants(t)
	if len(all) < 10 || len(all) != len(exits()) {
		t.Fatalf("%d constants, %d in the table", len(all), len(exits()))
	}
	page := helpExitCodes().Long
	codes, names := map[Exit]bool{}, map[string]bool{}
	for constant, code := range all {
		name := code.String()
		if codes[code] || names[name] {
			t.Errorf("%s: code %d or name %q is used twice", constant, code, name)
		}
		codes[code], names[name] = true, true
		if !strings.Contains(page, "  "+strconv.Itoa(int(code))+"  "+name+" ") {
			t.Errorf("%s (%d) is not on the page:\n%s", constant, code, page)
		}
	}
}
