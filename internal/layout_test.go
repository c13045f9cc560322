// Package internal_test holds the rules of the house: which package may import
// which, and which packages are pure. docs/ARCHITECTURE.md gives the reasons.
package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/pleiad-etcd/pleiad/"

// arrows lists, for each part of the house, the parts it may import. A part is
// a folder and all below it, unless a longer entry matches. Data flows one
// way: ui -> operate -> converge -> stages -> world's contracts -> nouns, never back.
var arrows = map[string][]string{
	"internal/cluster":  {},
	"internal/progress": {},
	"internal/fault":    {},
	"internal/pki":      {"internal/cluster"},
	"internal/node":     {"internal/cluster"},

	"internal/system/bound":      {},
	"internal/system/disk":       {},
	"internal/system/folder":     {},
	"internal/system/resolvconf": {},
	"internal/system/shell":      {},
	"internal/system/sidebyside": {"internal/system/resolvconf"},
	"internal/system/given":      {"internal/system/bound"},
	"internal/system/httponce":   {"internal/system/bound"},
	"internal/system/untrusted":  {"internal/system/bound"},
	"internal/system/durable":    {"internal/system/untrusted", "internal/system/bound"},
	"internal/system/process":    {"internal/system/untrusted", "internal/system/bound"},

	"internal/onhost/program": {"internal/cluster", "internal/system"},
	"internal/onhost/member":  {"internal/cluster", "internal/node", "internal/onhost/program", "internal/pki", "internal/system"},
	"internal/onhost/agent":   {"internal/cluster", "internal/node", "internal/onhost/member", "internal/onhost/program", "internal/system"},

	"internal/converge/spec":    {"internal/cluster"},
	"internal/converge/plan":    {"internal/cluster", "internal/node", "internal/system/shell"},
	"internal/converge/verify":  {"internal/cluster", "internal/node"},
	"internal/converge/observe": {"internal/cluster", "internal/fault", "internal/world"},
	"internal/converge/apply":   {"internal/cluster", "internal/node", "internal/converge/plan", "internal/world"},
	"internal/converge":         {"internal/cluster", "internal/fault", "internal/progress", "internal/converge", "internal/world"},

	"internal/operate": {"internal/cluster", "internal/progress", "internal/converge", "internal/world", "discovery"},

	"internal/world": {"internal/cluster", "internal/node", "internal/pki", "internal/fault", "internal/onhost", "internal/system", "internal/world"},
	// It carries the cookbook to machines.
	"internal/world/deliver/chef":          {"internal/cluster", "internal/node", "internal/fault", "internal/system", "chef"},
	"internal/world/deliver/chef/cheftest": {"internal/node"},
	"chef":                                 {},
	// The transport knows no nouns: what runs on a machine is its callers' affair.
	"internal/world/sshexec":             {"internal/system/given", "internal/system/shell", "internal/fault"},
	"internal/world/sshexec/sshexectest": {"internal/system/process/processtest"},
	"internal/sim":                       {"internal/cluster", "internal/node", "internal/onhost/member", "internal/system/process", "internal/pki", "internal/world", "internal/converge", "internal/progress"},

	"internal/ui": {"internal/cluster", "internal/progress", "internal/converge", "internal/operate", "internal/world", "internal/node", "internal/onhost", "internal/system", "internal/fault", "internal/ui", "discovery"},
	"cmd/pleiad":  {"internal", "discovery"},
	"discovery":   {"discovery"},
	"bench":       {"internal", "discovery", "e2e/testbed", "e2e/site"},
	"e2e":         {"internal", "discovery"},
}

// contracts are those of the world. They know nothing of each other.
var contracts = []string{"internal/world/authority", "internal/world/deliver", "internal/world/dns", "internal/world/etcd", "internal/world/hosts"}

// inWorld lists what packages of the world, and the simulator, may import of it. Providers and suites,
// which lie below their contract, may import that contract and what stands here
// besides: never each other, so that each can be read, tested and removed alone.
var inWorld = map[string][]string{
	"internal/world":       contracts,
	"internal/world/trace": append([]string{"internal/world"}, contracts...),
	"internal/sim":         append([]string{"internal/world"}, contracts...), // no provider: it is one

	"internal/world/statedir": {"internal/world/authority"},
	"internal/world/handout":  {"internal/world/statedir"},
	// It says which keys the transport accepts.
	"internal/world/hostkeys": {"internal/world/sshexec"},

	"internal/world/dns/authoritative": {"internal/world/dns/rr"},
	"internal/world/dns/rfc2136":       {"internal/world/dns/rr", "internal/world/dns/tsig"},
	"internal/world/dns/cloudflare":    {"internal/world/dns/rr", "internal/world/dns/listing"},
	"internal/world/dns/route53":       {"internal/world/dns/listing"},
	// Fakes of Amazon's services check signatures in one way.
	"internal/world/dns/route53/route53fake": {"internal/world/amazon/amazontest"},
	"internal/world/hosts/ec2/ec2fake":       {"internal/world/amazon/amazontest"},
	// Its server is asked like any other that takes updates.
	"internal/world/dns/embedded": {"internal/world/dns/rr", "internal/world/dns/tsig", "internal/world/dns/rfc2136"},
	// It clears the machines that package hosts/ssh provides.
	"internal/world/deliver/systemd":                {"internal/world/hosts"},
	"internal/world/deliver/delivertest/fakemember": {"internal/world/deliver/delivertest"},
}

// pure are the packages that decide: no effects, clock, chance or log.
var pure = []string{"internal/cluster", "internal/converge/spec", "internal/converge/spec/option", "internal/converge/plan", "internal/converge/verify", "internal/node"}

// impure are what a pure package may not import directly, and why.
var impure = map[string]string{
	"os": "effects", "os/exec": "effects", "net": "effects", "net/http": "effects", "io/fs": "effects", "syscall": "effects",
	"context": "a decision neither waits nor is cancelled", "log": "a decision is returned, not logged", "log/slog": "a decision is returned, not logged",
	"math/rand": "chance", "math/rand/v2": "chance", "crypto/rand": "chance",
}

// source is one Go file of ours that is no test.
type source struct {
	dir  string // relative to the module, with slashes
	name string
	ast  *ast.File
}

func sources(t *testing.T) []source {
	t.Helper()
	root := ".."
	var out []source
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && p != root) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(p))
		if err != nil {
			return err
		}
		out = append(out, source{dir: filepath.ToSlash(rel), name: path.Base(filepath.ToSlash(p)), ast: f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("found only %d files", len(out))
	}
	return out
}

func within(dir, part string) bool { return dir == part || strings.HasPrefix(dir, part+"/") }

func imports(f *ast.File) []string {
	var out []string
	for _, i := range f.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		out = append(out, p)
	}
	return out
}

func TestArrows(t *testing.T) {
	for _, s := range sources(t) {
		part := ""
		for p := range arrows {
			if within(s.dir, p) && len(p) > len(part) {
				part = p
			}
		}
		if part == "" {
			t.Errorf("%s/%s is in no part of the house; give it a line in arrows", s.dir, s.name)
			continue
		}
		for _, p := range imports(s.ast) {
			target, ours := strings.CutPrefix(p, module)
			if ours && !within(target, part) && !slices.ContainsFunc(arrows[part], func(a string) bool { return within(target, a) }) {
				t.Errorf("%s/%s imports %s: %s may import %v", s.dir, s.name, target, part, arrows[part])
			}
		}
	}
}

func TestArrowsInWorld(t *testing.T) {
	const whole = "internal/world"
	for _, s := range sources(t) {
		if !within(s.dir, whole) && s.dir != "internal/sim" || s.dir == whole+"/real" { // the one list of all providers
			continue
		}
		allowed := inWorld[s.dir]
		for _, c := range contracts {
			if s.dir != c && within(s.dir, c) {
				allowed = append([]string{c}, allowed...)
			}
		}
		for _, p := range imports(s.ast) {
			if target, ours := strings.CutPrefix(p, module); ours && within(target, whole) && !slices.Contains(allowed, target) {
				t.Errorf("%s/%s imports %s: of the world it may import %v", s.dir, s.name, target, allowed)
			}
		}
	}
}

// Amazon's SDK is known to the two providers that call a service of Amazon's, and to
// the package that finds their credentials. It is large: its EC2 client takes 3.3 GB of
// memory to compile. That of Route 53 takes 9 s and 2 MB of the binary, and is the one
// client of a service that is used.
func TestSDK(t *testing.T) {
	const route53 = "internal/world/dns/route53"
	only := []string{"internal/world/amazon", "internal/world/hosts/ec2", route53}
	for _, s := range sources(t) {
		for _, p := range imports(s.ast) {
			if !strings.HasPrefix(p, "github.com/aws/") {
				continue
			}
			if !slices.ContainsFunc(only, func(part string) bool { return within(s.dir, part) }) {
				t.Errorf("%s/%s imports %s: only %v may import the SDK", s.dir, s.name, p, only)
			}
			client := strings.Contains(p, "/service/")
			if client && !(within(s.dir, route53) && strings.Contains(p, "/service/route53")) {
				t.Errorf("%s/%s imports %s: no client of a service but that of Route 53, in %s", s.dir, s.name, p, route53)
			}
		}
	}
}

func TestPurity(t *testing.T) {
	for _, s := range sources(t) {
		if !slices.Contains(pure, s.dir) {
			continue
		}
		for _, p := range imports(s.ast) {
			if why, bad := impure[p]; bad {
				t.Errorf("%s/%s imports %s: %s", s.dir, s.name, p, why)
			}
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "Tick"}, sel.Sel.Name) {
					t.Errorf("%s/%s calls time.%s: times are part of the state", s.dir, s.name, sel.Sel.Name)
				}
			}
			return true
		})
	}
}

// Every package says once what it is.
func TestPackageComments(t *testing.T) {
	comments := map[string]int{}
	for _, s := range sources(t) {
		if s.ast.Doc != nil {
			comments[s.dir]++
		} else {
			comments[s.dir] += 0
		}
	}
	for dir, n := range comments {
		if n != 1 {
			t.Errorf("%s has %d package comments, want one", dir, n)
		}
	}
}

// No init functions: what happens, happens because somebody called it.
func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.ast.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s/%s has an init function", s.dir, s.name)
			}
		}
	}
}
