package doctor

import "syscall"

// timeError is adjtimex's state of a clock that nobody keeps right
// (adjtimex(2), TIME_ERROR).
const timeError = 5

// disciplined says whether the kernel's clock is kept right, and whether that
// could be told.
func disciplined() (kept, known bool) {
	var t syscall.Timex
	state, err := syscall.Adjtimex(&t)
	return state != timeError, err == nil
}
