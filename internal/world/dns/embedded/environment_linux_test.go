package embedded

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The server lives for weeks; what the operator's shell held must not.
func TestServerHoldsNothingOfTheOperators(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not for a name server")
	p := provider(t)
	start(t, p)
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", stampOf(t, p).PID))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "AWS_") || !strings.Contains(string(b), "GOGC=25") {
		t.Errorf("its environment: %q", b)
	}
}
