// Package hosts holds the end-to-end tests on machines: the built binary on the
// controller of a test bed, real Debian hosts with systemd and sshd, BIND. They
// run with PLEIAD_E2E=1 and need what the bed needs, bind9, bind9-dnsutils and
// etcd-client.
package hosts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

// binary is the pleiad under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	if os.Getenv("PLEIAD_E2E") == "" {
		return bed.Main(m) // says so
	}
	dir, err := os.MkdirTemp("", "pleiad-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "pleiad")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "../../cmd/pleiad")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return bed.Main(m)
}
