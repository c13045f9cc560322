package hosts

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// breakpoints listens where pleiad stops before and after each step. For every
// line it calls at, and lets pleiad go on when that returns. After done, at is
// not called any more.
func breakpoints(t testing.TB, at func(line string)) (socket string, done func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "b-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "b")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { // steps of one batch stop at once
				defer c.Close()
				if line, err := bufio.NewReader(c).ReadString('\n'); err == nil {
					at(strings.TrimSpace(line))
					_, _ = c.Write([]byte("go\n")) // pleiad may have been killed
				}
			})
		}
	})
	return socket, func() {
		l.Close()
		all.Wait()
		os.RemoveAll(dir)
	}
}
