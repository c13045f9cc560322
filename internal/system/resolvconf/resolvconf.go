// Package resolvconf reads resolv.conf(5): which name servers a machine asks, and how
// long it waits for each. Who bounds a lookup asks it, since a limit below these times
// ends a lookup that would succeed with the next name server.
//
// [Read] is all there is. What it promises: of what the file says only what counts for
// a resolver, with its limits; what it does not say, and a file that is not there, is
// the default of the page.
package resolvconf

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// Conf is what a resolv.conf comes to.
type Conf struct {
	// Servers are the addresses of the name servers, in their order; none if the file
	// names none.
	Servers []string
	// Timeout is how long a name server is waited for, Attempts how often it is asked.
	Timeout  time.Duration
	Attempts int
}

// What counts, and what holds where the file says nothing (resolv.conf(5)).
const (
	maxServers  = 3
	maxTimeout  = 30
	maxAttempts = 5
)

// maxSize is how much of a file is read, in bytes. Nobody needs more, and the path may
// lead to a device.
const maxSize = 64 << 10

// Read reads a file.
func Read(file string) Conf {
	out := Conf{Timeout: 5 * time.Second, Attempts: 2}
	f, err := os.Open(file)
	if err != nil {
		return out
	}
	defer f.Close()
	for s := bufio.NewScanner(io.LimitReader(f, maxSize)); s.Scan(); {
		words := strings.Fields(s.Text())
		switch {
		case len(words) < 2:
		case words[0] == "nameserver" && len(out.Servers) < maxServers:
			out.Servers = append(out.Servers, words[1])
		case words[0] == "options":
			for _, o := range words[1:] {
				out.option(o)
			}
		}
	}
	return out
}

func (c *Conf) option(text string) {
	name, value, _ := strings.Cut(text, ":")
	n, err := strconv.Atoi(value)
	switch {
	case err != nil || n < 1:
	case name == "timeout":
		c.Timeout = time.Duration(min(n, maxTimeout)) * time.Second
	case name == "attempts":
		c.Attempts = min(n, maxAttempts)
	}
}

// Patience is how long one name server may stay silent until nobody asks it again.
func (c Conf) Patience() time.Duration { return time.Duration(c.Attempts) * c.Timeout }
