//go:build unix

package process

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Bequeath lets the lock outlive this program: whatever program the process
// becomes holds it on.
func (l *Lock) Bequeath() error {
	if _, err := unix.FcntlInt(l.file.Fd(), unix.F_SETFD, 0); err != nil {
		return fmt.Errorf("bequeath lock: %w", err)
	}
	return nil
}
