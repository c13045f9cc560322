//go:build !unix

package process

import "errors"

// Bequeath is not possible on this system.
func (l *Lock) Bequeath() error {
	return errors.New("a lock cannot be bequeathed on this system")
}
