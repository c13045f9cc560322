// Package hosts holds the end-to-end tests of clusters on machines of their
// own: the built binary, Debian hosts of the test bed, their records in BIND,
// stock clients. They need root on Linux, the test bed's packages and Debian's
// bind9, bind9-dnsutils and etcd-client, and run only with PLEIAD_E2E=1; with
// that set, none of them may be skipped.
package hosts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

// binary is the pleiad under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	if os.Getenv("PLEIAD_E2E") == "" {
		fmt.Println("end-to-end tests run with PLEIAD_E2E=1")
		return 0
	}
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		fmt.Fprintln(os.Stderr, "end-to-end tests need root on Linux")
		return 1
	}
	for _, tool := range []string{"named", "dig", "etcdctl", "ssh"} {
		if _, err := exec.LookPath(tool); err != nil {
			fmt.Fprintf(os.Stderr, "end-to-end tests need %s: apt-get install bind9 bind9-dnsutils etcd-client openssh-client\n", tool)
			return 1
		}
	}
	dir, err := os.MkdirTemp("", "pleiad-e2e-hosts-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "pleiad")
	// As it is released: it must run on hosts that have nothing.
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "../../cmd/pleiad")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return bed.Main(m)
}
