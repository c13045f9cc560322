// Package dnsservers holds the end-to-end tests of DNS by RFC 2136: the
// conformance suite on BIND, Knot and PowerDNS as Debian ships them, what each
// of them answers to a key without a right, and the configurations that docs/
// prints for them. They need root on Linux and run only with PLEIAD_E2E=1;
// with that set, none of them may be skipped.
package dnsservers

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/nameserver"
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
	if err := nameserver.Missing(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
