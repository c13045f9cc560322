package bed

import (
	"fmt"
	"os"
	"testing"
)

// Main is the TestMain of packages whose tests stand on a bed: they run with
// PLEIAD_E2E=1 and say so without it. It returns the exit code.
func Main(m *testing.M) int {
	if os.Getenv("PLEIAD_E2E") == "" {
		fmt.Println("tests on the test bed run with PLEIAD_E2E=1, as root")
		return 0
	}
	return m.Run()
}
