package member

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Answers are what the host's resolver says.
type Answers struct {
	// Services is the SRV set of the members, Rival the one of the other
	// scheme, which whoever looks for them reads too and mixes in.
	Services, Rival cluster.Seen[[]cluster.Service]
	// Hosts are the addresses of every name asked for; see [hostNames].
	Hosts map[string]cluster.Seen[[]netip.Addr]
}

// Check compares the answers with the exact truth (rule R3) and returns what
// is wrong, in a fixed order; nothing if the member may start. Names are
// compared byte by byte: etcd keeps the case of a target, and makes another
// member ID of it.
func Check(g node.Gate, rival string, a Answers) []string {
	wrong := checkExpected(g)
	wrong = append(wrong, checkServices(g, a.Services)...)
	switch services, known := a.Rival.Get(); {
	case rival == "": // there is no answer about it
	case !known:
		wrong = append(wrong, fmt.Sprintf("%s cannot be looked up, want it absent: %s", rival, a.Rival.Why()))
	case len(services) > 0:
		wrong = append(wrong, fmt.Sprintf("%s exists, want it absent: etcd would mix both SRV sets", rival))
	}
	for _, p := range g.Peers {
		for _, name := range hostNames(p.Target) {
			if bad := checkAddress(name, p.Address, a.Hosts[name]); bad != "" {
				wrong = append(wrong, bad)
				break // the other form of the same name says the same
			}
		}
	}
	return wrong
}

// checkExpected finds peers that would share an identity: etcd matches members
// by resolved address and port.
func checkExpected(g node.Gate) (wrong []string) {
	if len(g.Peers) == 0 {
		wrong = append(wrong, fmt.Sprintf("%s: no peers are expected, want at least this member", node.FileName))
	}
	seen := map[string]string{}
	for _, p := range g.Peers {
		at := net.JoinHostPort(p.Address, fmt.Sprint(p.Port))
		if other, twice := seen[at]; twice {
			wrong = append(wrong, fmt.Sprintf("%s and %s are both expected at %s, want distinct addresses", other, p.Target, at))
		}
		seen[at] = p.Target
	}
	return wrong
}

func checkServices(g node.Gate, got cluster.Seen[[]cluster.Service]) (wrong []string) {
	services, known := got.Get()
	if !known {
		return []string{fmt.Sprintf("%s cannot be looked up: %s", g.Service, got.Why())}
	}
	if len(services) == 0 {
		return []string{fmt.Sprintf("%s has no SRV records, want %d", g.Service, len(g.Peers))}
	}
	left := slices.Clone(services)
	for _, p := range g.Peers {
		want := cluster.Service{Target: p.Target, Port: p.Port}
		if i := slices.Index(left, want); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else {
			wrong = append(wrong, fmt.Sprintf("%s lacks %q", g.Service, want.Value()))
		}
	}
	for _, s := range left {
		wrong = append(wrong, fmt.Sprintf("%s has %q, which is not expected", g.Service, s.Value()))
	}
	slices.Sort(wrong)
	return wrong
}

func checkAddress(name, want string, got cluster.Seen[[]netip.Addr]) string {
	switch addresses, known := got.Get(); {
	case !known:
		return fmt.Sprintf("%s cannot be looked up, want %s: %s", name, want, got.Why())
	case len(addresses) == 0:
		return fmt.Sprintf("%s has no address, want %s", name, want)
	case len(addresses) > 1 || addresses[0].String() != want:
		return fmt.Sprintf("%s has address %s, want %s", name, join(addresses), want)
	}
	return ""
}

func join(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	slices.Sort(texts)
	return strings.Join(texts, " and ")
}

// hostNames are the two forms in which etcd looks a peer up: as the SRV target
// with its final dot, and from peer URLs without it, to which a search list in
// resolv.conf may apply.
func hostNames(target string) []string { return []string{target, strings.TrimSuffix(target, ".")} }

// RivalService is the SRV name of the other scheme (etcd
// server/embed/config.go, GetDNSClusterNames), empty if the gate's own name is
// not etcd's.
func RivalService(n node.Node) string {
	ours, other := "_etcd-server", "_etcd-server-ssl"
	if scheme(n) == "https" {
		ours, other = other, ours
	}
	rest, ok := strings.CutPrefix(n.Gate.Service, ours)
	if !ok {
		return ""
	}
	return other + rest
}

// scheme is that of the node's URLs. Only a node with TLS has certificate names.
func scheme(n node.Node) string {
	if len(n.Names) > 0 {
		return "https"
	}
	return "http"
}

// Times of the gate.
const (
	gateFirstPause = 20 * time.Millisecond
	gateLastPause  = 500 * time.Millisecond
	// gateRound bounds the first round of questions, so that a silent name server
	// is reported soon. A round that was too short is followed by one twice as
	// long, up to gateLastRound: three name servers of resolv.conf may take 5 s
	// each, twice, and a limit below theirs would never let a member start.
	gateRound     = 2 * time.Second
	gateLastRound = 30 * time.Second
)

// Replaced says that a member waits at its gate for a list that is no longer the one
// of its host: another node was delivered since. Until its first start a host may be
// made again elsewhere, and then the old list never stands in DNS again.
func Replaced(n node.Node, installed *node.Node) error {
	if installed == nil || installed.Digest() == n.Digest() { // it may be half delivered
		return nil
	}
	return errors.New("another node was delivered while it waited at its start gate; start it again")
}

// waitAtGate asks r until it shows the exact truth; see [waitFor].
func waitAtGate(ctx context.Context, r *resolver, n node.Node, told func(wrong string) error) error {
	rival, round := RivalService(n), gateRound
	look := func(ctx context.Context) ([]string, error) {
		ctx, cancel := context.WithTimeout(ctx, round)
		defer cancel()
		wrong := Check(n.Gate, rival, ask(ctx, r.network(), n, rival))
		if ctx.Err() != nil {
			round = min(2*round, gateLastRound)
		}
		if silent := r.system.Silent(); len(wrong) > 0 && len(silent) > 0 {
			wrong = append(wrong, unanswered(silent))
		}
		return wrong, nil
	}
	return waitFor(ctx, n, look, told)
}

// unanswered names the name servers of resolv.conf that do not answer.
func unanswered(servers []string) string {
	return "no answer from name server " + strings.Join(servers, " and ") + " of /etc/resolv.conf"
}

// waitFor looks until nothing is wrong, waiting is of no use, the host's node is
// another, or ctx ends. Each time what is wrong changes, it is told in one line;
// nothing is told if all is right at the first look.
func waitFor(ctx context.Context, n node.Node, look func(context.Context) (wrong []string, err error), told func(wrong string) error) error {
	last := ""
	for pause := gateFirstPause; ; pause = min(2*pause, gateLastPause) {
		// One that cannot be read is no other one.
		if installed, err := Installed(n.Paths.Config); err == nil {
			if err := Replaced(n, installed); err != nil {
				return err
			}
		}
		wrong, err := look(ctx)
		if ctx.Err() == nil && (err != nil || len(wrong) == 0) {
			return err
		}
		if text := "R3: " + strings.Join(wrong, "; "); ctx.Err() == nil && text != last {
			if err := told(text); err != nil {
				return err
			}
			last = text
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("ended while the start gate waited for %s: %w", cmp.Or(last, "answers"), context.Cause(ctx))
		case <-timer.C:
		}
	}
}

// ask puts all questions of the gate at once.
func ask(ctx context.Context, r *net.Resolver, n node.Node, rival string) Answers {
	var wg sync.WaitGroup
	a := Answers{Hosts: map[string]cluster.Seen[[]netip.Addr]{}}
	wg.Go(func() { a.Services = askServices(ctx, r, n.Resolver, n.Gate.Service) })
	if rival != "" {
		wg.Go(func() { a.Rival = askServices(ctx, r, n.Resolver, rival) })
	}
	var mu sync.Mutex // guards a.Hosts
	for _, p := range n.Gate.Peers {
		for _, name := range hostNames(p.Target) {
			wg.Go(func() {
				seen := askAddresses(ctx, r, n.Resolver, name)
				mu.Lock()
				defer mu.Unlock()
				a.Hosts[name] = seen
			})
		}
	}
	wg.Wait()
	return a
}

// askServices looks an SRV name up as etcd does: without its final dot.
func askServices(ctx context.Context, r *net.Resolver, server, name string) cluster.Seen[[]cluster.Service] {
	_, found, err := r.LookupSRV(ctx, "", "", strings.TrimSuffix(name, "."))
	if absent(err) {
		return cluster.Known[[]cluster.Service](nil)
	}
	if err != nil {
		return cluster.Unknown[[]cluster.Service](reason(err, server))
	}
	out := make([]cluster.Service, len(found))
	for i, s := range found {
		out[i] = cluster.Service{Target: s.Target, Port: s.Port}
	}
	return cluster.Known(out)
}

// askAddresses asks for the families apart. Together they would be one error, and
// that is absence where one is empty and nobody could be asked for the other.
func askAddresses(ctx context.Context, r *net.Resolver, server, name string) cluster.Seen[[]netip.Addr] {
	var four, six []netip.Addr
	var err4, err6 error
	var both sync.WaitGroup
	both.Go(func() { four, err4 = r.LookupNetIP(ctx, "ip4", name) })
	both.Go(func() { six, err6 = r.LookupNetIP(ctx, "ip6", name) })
	both.Wait()
	found := slices.Concat(four, six)
	for _, err := range []error{err4, err6} {
		if len(found) == 0 && err != nil && !absent(err) {
			return cluster.Unknown[[]netip.Addr](reason(err, server))
		}
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return cluster.Known(slices.Compact(found))
}

// absent says that the name server knows that there is no such record, or a hosts
// file has addresses of the other family alone.
func absent(err error) bool {
	var d *net.DNSError
	var other *net.AddrError
	return errors.As(err, &d) && d.IsNotFound || errors.As(err, &other)
}

// reason is why a lookup failed: the server, and of the error's text the last
// part, since the others name ports that are new each time. Go names the
// server of resolv.conf even where another one was asked.
func reason(err error, server string) string {
	var d *net.DNSError
	if !errors.As(err, &d) {
		return err.Error()
	}
	why := d.Err[strings.LastIndex(d.Err, ": ")+1:]
	if d.IsTimeout {
		why = "no answer in time"
	}
	if server = cmp.Or(server, d.Server); server == "" {
		return strings.TrimSpace(why)
	}
	return fmt.Sprintf("name server %s: %s", server, strings.TrimSpace(why))
}
