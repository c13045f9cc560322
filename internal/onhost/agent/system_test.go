//go:build unix

package agent

import (
	"strings"
	"testing"
)

// What sshd takes over from a controller's session is not for root's programs.
func TestProgramsGetNothingOfTheSession(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not for root's programs")
	t.Setenv("LC_ALL", "tr_TR.UTF-8")
	out, err := run(t.Context(), "env")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, "AWS_") || !strings.Contains(out, "LC_ALL=C\n") {
		t.Errorf("environment of a program:\n%s", out)
	}
}
