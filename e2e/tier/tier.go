// Package tier is the TestMain of the fourth tier, the end-to-end tests: they
// run with PLEIAD_E2E=1, as root on Linux, with the built binary and programs
// that Debian has packages for.
//
// [Main] runs a package's tests, or says in one line why not. Without
// PLEIAD_E2E that is no error. With it, whatever is missing is one, so that no
// test has a reason to be skipped.
package tier

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Needs are what a package's tests cannot do without.
type Needs struct {
	// Tools are programs in PATH, each with the Debian packages that bring it
	// and what it needs.
	Tools map[string]string
	// Binary, if not nil, is where the tests look for the path of the pleiad
	// under test. It is built once, into a folder that is otherwise empty.
	Binary *string
}

// Main returns the exit code.
func Main(m *testing.M, n Needs) int {
	if os.Getenv("PLEIAD_E2E") == "" {
		fmt.Println("end-to-end tests run with PLEIAD_E2E=1, as root")
		return 0
	}
	code, err := n.run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func (n Needs) run(m *testing.M) (code int, err error) {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		return 0, errors.New("end-to-end tests need root on Linux")
	}
	if err := n.missing(); err != nil {
		return 0, err
	}
	if n.Binary != nil {
		dir, err := os.MkdirTemp("", "pleiad-e2e-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
		*n.Binary = filepath.Join(dir, "pleiad")
		if err := build(*n.Binary); err != nil {
			return 0, err
		}
	}
	return m.Run(), nil
}

// missing is an error if there is a tool that cannot be found.
func (n Needs) missing() error {
	var tools, packages []string
	for _, tool := range slices.Sorted(maps.Keys(n.Tools)) {
		if _, err := exec.LookPath(tool); err != nil {
			tools = append(tools, tool)
			packages = append(packages, strings.Fields(n.Tools[tool])...)
		}
	}
	if tools == nil {
		return nil
	}
	slices.Sort(packages)
	return fmt.Errorf("end-to-end tests need %s: apt-get install --no-install-recommends %s",
		strings.Join(tools, ", "), strings.Join(slices.Compact(packages), " "))
}

// build builds pleiad as it is released: it must run on hosts that have
// nothing.
func build(path string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "github.com/pleiad-etcd/pleiad/cmd/pleiad")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build pleiad: %w\n%s", err, out)
	}
	return nil
}
