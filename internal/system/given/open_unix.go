//go:build unix

package given

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// open does not wait for somebody who writes into a named pipe, as opening does
// by default. A terminal does not become ours by being read.
func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
}

// patient reads a file as if opening it had waited.
func patient(f *os.File) io.Reader {
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return f
	}
	return &pipe{file: f}
}

// pipe is a pipe. Before anybody has opened it for writing, it reads as if at
// its end.
type pipe struct {
	file *os.File
	met  bool // somebody has opened it for writing
}

func (p *pipe) Read(b []byte) (n int, err error) {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	waited := raw.Read(func(fd uintptr) (done bool) {
		for {
			n, err = unix.Read(int(fd), b)
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN: // somebody has opened it, and says nothing
				p.met = true
				return false
			case err != nil || n > 0:
				p.met = true
				return true
			}
			if p.met {
				return true
			}
			// It may have come, written and gone since the read.
			if p.met = left(fd); !p.met {
				return false
			}
		}
	})
	switch {
	case waited != nil:
		return 0, waited
	case err != nil:
		return 0, err
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// left says whether whoever wrote into a pipe has gone: the system tells that
// only if there was somebody.
func left(fd uintptr) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n > 0 && poll[0].Revents&unix.POLLHUP != 0
}
