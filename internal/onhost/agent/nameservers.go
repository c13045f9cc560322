package agent

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// resolvConf is what a machine's resolv.conf says (resolv.conf(5)).
type resolvConf struct {
	servers []string
	// timeout is how long a name server is waited for, attempts how often it is asked.
	timeout  time.Duration
	attempts int
}

// What counts of resolv.conf, and what holds where it says nothing (resolv.conf(5)).
const (
	maxServers      = 3
	defaultTimeout  = 5 * time.Second
	maxTimeout      = 30
	defaultAttempts = 2
	maxAttempts     = 5
)

func (h *Host) resolvConf() resolvConf {
	out := resolvConf{timeout: defaultTimeout, attempts: defaultAttempts}
	f, err := os.Open(h.path("/etc/resolv.conf"))
	if err != nil {
		return out
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		words := strings.Fields(s.Text())
		switch {
		case len(words) < 2:
		case words[0] == "nameserver" && len(out.servers) < maxServers:
			out.servers = append(out.servers, words[1])
		case words[0] == "options":
			for _, option := range words[1:] {
				name, value, _ := strings.Cut(option, ":")
				n, err := strconv.Atoi(value)
				switch {
				case err != nil || n < 1:
				case name == "timeout":
					out.timeout = time.Duration(min(n, maxTimeout)) * time.Second
				case name == "attempts":
					out.attempts = min(n, maxAttempts)
				}
			}
		}
	}
	return out
}

// lookup asks the machine's name servers about a zone over one transport, all at once:
// what a resolver finds is the answer of the first in their order that answers. Each has
// the time that resolv.conf gives it; once another has answered, that of one attempt.
// mute are those that were silent for as long.
func (h *Host) lookup(ctx context.Context, conf resolvConf, transport, zone string) (found cluster.Seen[string], mute []string) {
	limit := time.Duration(conf.attempts) * conf.timeout
	asking, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	servers := conf.servers
	if len(servers) == 0 {
		servers = []string{""} // Go has one of its own
	}
	said, silent := make([]cluster.Seen[string], len(servers)), make([]bool, len(servers))
	var all sync.WaitGroup
	answered, first := make(chan struct{}), new(sync.Once)
	for i, server := range servers {
		all.Go(func() {
			said[i], silent[i] = h.askOne(asking, transport, server, zone, limit)
			if said[i].Known() {
				first.Do(func() { close(answered) })
			}
		})
	}
	enough := time.AfterFunc(conf.timeout, func() {
		select {
		case <-answered:
			cancel()
		case <-asking.Done():
		}
	})
	all.Wait()
	enough.Stop()
	found = said[0]
	for i, server := range servers {
		if !found.Known() && said[i].Known() {
			found = said[i]
		}
		if silent[i] && ctx.Err() == nil {
			mute = append(mute, server)
		}
	}
	return found, mute
}

// askOne asks one name server; the empty one is that of the system. silent says that
// nothing came.
func (h *Host) askOne(ctx context.Context, transport, server, zone string, limit time.Duration) (found cluster.Seen[string], silent bool) {
	// The net package heeds the end of ctx between two questions alone.
	stops := []func() bool{}
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	r := &net.Resolver{PreferGo: true, Dial: func(_ context.Context, _, address string) (net.Conn, error) {
		if server != "" {
			address = net.JoinHostPort(server, "53")
		}
		c, err := h.Dial(ctx, transport, address)
		if err == nil {
			stops = append(stops, context.AfterFunc(ctx, func() { _ = c.Close() })) // net sets deadlines of its own
		}
		return c, err
	}}
	_, err := r.LookupNS(ctx, zone)
	var dns *net.DNSError
	asDNS := errors.As(err, &dns)
	switch {
	case err == nil:
		return cluster.Known("found"), false
	case asDNS && dns.IsNotFound:
		return cluster.Known("absent"), false
	case ctx.Err() != nil, asDNS && dns.IsTimeout:
		return cluster.Unknown[string](fmt.Sprintf("%s gave no answer within %s", cmp.Or(server, "it"), limit)), true
	}
	return cluster.Unknown[string](err.Error()), false
}
