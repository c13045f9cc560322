package discovery

import (
	"bufio"
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// bounded is ctx with a deadline: its own, or one as far away as a resolver that goes by
// resolv.conf tries, once for the records and once for the addresses, and lookupTimeout
// at the least.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return context.WithCancel(ctx)
	}
	limit := lookupTimeout
	if f, err := os.Open("/etc/resolv.conf"); err == nil {
		limit = max(limit, 2*tries(f))
		_ = f.Close() // it was only read
	}
	return context.WithTimeout(ctx, limit)
}

// maxConf is more than any resolv.conf has, in bytes.
const maxConf = 64 << 10

// tries is how long a resolver tries for one answer, with the limits of resolv.conf(5):
// three name servers, each for 30 seconds, five times.
func tries(conf io.Reader) time.Duration {
	servers, timeout, attempts := 0, 5, 2
	for s := bufio.NewScanner(io.LimitReader(conf, maxConf)); s.Scan(); {
		words := strings.Fields(s.Text())
		switch {
		case len(words) < 2:
		case words[0] == "nameserver":
			servers++
		case words[0] == "options":
			for _, option := range words[1:] {
				name, value, _ := strings.Cut(option, ":")
				n, err := strconv.Atoi(value)
				switch {
				case err != nil || n < 1:
				case name == "timeout":
					timeout = min(n, 30)
				case name == "attempts":
					attempts = min(n, 5)
				}
			}
		}
	}
	return time.Duration(max(1, min(servers, 3))*timeout*attempts) * time.Second
}
