package daemon_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/dnsservers/daemon"
)

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
	if err := daemon.Missing(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
