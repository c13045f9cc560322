//go:build unix

package untrusted

import "golang.org/x/sys/unix"

// careful neither follows a link nor waits for the writer of a FIFO.
const careful = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY
