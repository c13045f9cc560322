package processtest

import (
	"fmt"
	"os/exec"
	"strings"
)

// Program writes a script that can be run once it returns: another process writes it.
// A file that this process has had open for writing may still be open in a child that
// another goroutine is just starting, and the system runs no such file (ETXTBSY).
func Program(path, script string) error {
	cmd := exec.Command("install", "-m", "700", "/dev/stdin", path)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("write program %s: %w: %s", path, err, out)
	}
	return nil
}
