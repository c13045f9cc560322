package hosts

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Another pleiad is given to one member after the other while clients write, and one
// with which no member comes up is taken back from the first, at once.
func TestAnotherPleiad(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 3)
	o.must("up")
	writes := o.startWriter("roll")
	first := o.programs()

	next := o.with(w.pleiad("next", ""))
	plan := next.start("plan")
	if code := plan.end(); code != 2 {
		t.Errorf("plan ends with %d", code)
	}
	plan.wantSaid("restart", "it runs pleiad")
	next.must("up").wantSaid("install node", "3 members on")
	second := next.programs()
	if len(first) != 1 || len(second) != 1 || slices.Equal(first, second) {
		t.Errorf("the members ran %v, and run %v now", first, second)
	}
	next.must("up").wantSaid("as it should be")

	for name, instead := range map[string]string{
		"exits": "os.Exit(1)",
		"hangs": "time.Sleep(time.Hour)",
	} {
		bad := o.with(w.pleiad(name, instead))
		bad.refused(5, []string{"did not come up", "no other member"}, "up")
		if got := bad.programs(); !slices.Equal(got, second) {
			t.Errorf("%s: the members run %v, want %v", name, got, second)
		}
		o.awaitHealthy(w.Hosts...)
		// It is not tried again by itself, and who has the one that works has nothing to do.
		bad.refused(5, []string{"did not come up"}, "up")
		next.must("up").wantSaid("as it should be")
	}

	// What cannot be a pleiad at all does not come as far as a member.
	text, err := os.ReadFile(next.Binary)
	w.ok(err)
	half := filepath.Join(w.dir, "half")
	w.ok(os.WriteFile(half, text[:len(text)/2], 0o755))
	truncated := o.with(next.Binary)
	truncated.SpecFile = w.builds(half)
	truncated.start("up").ends(1, "is not a pleiad for linux")
	if got := o.programs(); !slices.Equal(got, second) {
		t.Errorf("the members run %v, want %v", got, second)
	}
	next.must("up")
	next.must("up").wantSaid("as it should be")

	writes.check()
	next.must("destroy", "--yes")
}

// with is the same operator with another pleiad.
func (o operator) with(binary string) operator {
	o.Binary = binary
	return o
}

// programs are the builds that the members run, without repetition.
func (o operator) programs() []string {
	o.Helper()
	out, _ := o.output("status", "--output", "json")
	var s struct {
		Hosts []struct {
			Name    string
			Program cluster.Program
		}
	}
	o.ok(json.Unmarshal([]byte(out), &s))
	var builds []string
	for _, h := range s.Hosts {
		builds = append(builds, h.Program.Build)
	}
	slices.Sort(builds)
	return slices.Compact(builds)
}

// pleiad is another build, whose members do something else instead if that is not
// empty.
func (w *world) pleiad(name, instead string) string {
	w.Helper()
	began := time.Now()
	program := filepath.Join(w.dir, name)
	args := []string{"build", "-trimpath", "-ldflags=-X=main." + name + "=yes", "-o", program}
	if instead != "" {
		args = append(args, "-overlay="+w.overlay(name, instead))
	}
	build := exec.Command("go", append(args, "./cmd/pleiad")...)
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		w.Fatalf("build: %v\n%s", err, out)
	}
	w.Logf("built %s in %s", name, tenths(time.Since(began)))
	return program
}

// overlay is how cmd/go is told to build pleiad with other members.
func (w *world) overlay(name, instead string) string {
	w.Helper()
	file, err := filepath.Abs(filepath.Join("..", "..", "internal", "ui", "cli", "children.go"))
	w.ok(err)
	source, err := os.ReadFile(file)
	w.ok(err)
	const begins, imports = "RunE: func(cmd *cobra.Command, _ []string) error {\n\t\t\t// It says why", "import (\n"
	if strings.Count(string(source), begins) != 1 {
		w.Fatalf("%s does not run a member as it did", file)
	}
	text := strings.Replace(string(source), begins, strings.Replace(begins, "\n", "\n"+instead+"\n", 1), 1)
	pkg, _, _ := strings.Cut(instead, ".")
	text = strings.Replace(text, imports, imports+"\t\""+pkg+"\"\n", 1)
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {file: w.file(name+".go", text)}})
	w.ok(err)
	return w.file(name+".json", string(replaced))
}
