package cli

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"time"
)

// breakpoint lets end-to-end tests stop a command before and after every step:
// where PLEIAD_BREAKPOINT names a unix socket, each boundary is a connection to
// it, on which pleiad writes one line such as "before start member etcd-x" and
// waits for one line, whatever it says. It is for tests alone; CONTRIBUTING.md
// describes it.
func breakpoint(s *System) func(ctx context.Context, when, step string) {
	socket := s.Env("PLEIAD_BREAKPOINT")
	if socket == "" {
		return func(context.Context, string, string) {}
	}
	return func(ctx context.Context, when, step string) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", socket)
		if err != nil {
			fmt.Fprintf(s.Err, "breakpoint: %v\n", err)
			return
		}
		defer conn.Close()
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		defer stop()
		if _, err := fmt.Fprintf(conn, "%s %s\n", when, step); err != nil {
			fmt.Fprintf(s.Err, "breakpoint: %v\n", err)
			return
		}
		_, _ = bufio.NewReader(conn).ReadString('\n') // also when the test is gone
	}
}
