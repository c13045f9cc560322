//go:build unix

package member

import (
	"os"
	"syscall"
)

// replaceProcess makes this process another program; it returns only if it
// cannot.
func replaceProcess(program string, argv []string) error {
	return syscall.Exec(program, argv, os.Environ())
}
