package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// host is a machine with all that is on it.
type host struct {
	cluster.Host // what List says of it: name, address, ports, token, paths
	of           cluster.Name
	gone         bool
	made         int  // the moment of its launch
	copied       int  // the moment at which a copy took its place
	late         bool // launched when the marker did not ask for it any more

	// known is the moment since which it knows of the cluster what outranks any
	// marker: that its list was published, or that it is sealed. 0: never.
	known int

	node        *node.Node // nil: nothing was delivered, or only half
	digest      string     // of node
	certificate *cluster.Certificate
	// program is what a machine starts its member with, former what it did before, and
	// failed the last start that came to nothing.
	program cluster.Program
	former  *former
	failed  *cluster.FailedStart

	log *identity // of the write-ahead log; nil: there is none
	// First start, and birth, as `pleiad member` notes them: begun says that
	// etcd was let go, born that its data was seen, fresh that the data
	// directory is still the one it was given.
	begun, born, fresh bool
	// mark is how far the log is known to have gone; it lies outside the data.
	mark struct {
		member cluster.MemberID
		end    int
	}
	unmarked bool // nobody looks at the mark

	process *process
	exit    string        // why the last process ended
	ahead   time.Duration // how far its clock is ahead

	resolver    map[cluster.Key]remembered
	wavers      wavering
	up          time.Time // when its machine is up, where that is pending
	unreachable bool      // for controllers
	isolated    bool      // for peers
	hidden      bool      // for listings
	astray      bool      // in no listing: its address left the spec, or its folder is gone
	strayed     int       // the moment at which it went astray last
	back        int       // the moment at which it was found again
	proven      bool      // astray, its process can be traced
	free        *int64    // what is left of its disk
	drift       []string  // what somebody has changed of what was delivered
	unclaimed   bool      // what says whose it is cannot be read
	occupied    uint16    // a port of its address that something else has
	enabled     bool      // its init system starts the member by itself
	puppet      *puppet
}

// puppet is what a conformance suite wants a member to do, instead of what it
// would do by itself: refuse to start, wait at its gate for ever, not end when
// asked to, or pass its gate whatever DNS says.
type puppet struct {
	refuse, gate string
	stubborn     bool
}

// identity is what stands at the head of a write-ahead log, and how many entries
// are in it.
type identity struct {
	member  cluster.MemberID
	cluster cluster.ID
	end     int
}

// older says that the log is one from before its mark.
func (h *host) older() bool {
	return h.log != nil && h.log.member == h.mark.member && h.log.end < h.mark.end
}

// data is what member.readData would say.
func (h *host) data() cluster.Data {
	if h.log != nil {
		d := cluster.Data{Present: true, Born: h.begun, Member: h.log.member, Cluster: h.log.cluster}
		if h.older() && !h.unmarked {
			d.Older, d.Reached.Index, d.Ends.Index = true, uint64(h.mark.end), uint64(h.log.end)
		}
		return d
	}
	return cluster.Data{Born: h.begun && (h.born || !h.fresh)}
}

// host finds a host of a cluster, nil if there is none.
func (w *World) host(of cluster.Name, name cluster.MemberName) *host {
	for _, h := range w.hosts {
		if h.of == of && h.Name == name {
			return h
		}
	}
	return nil
}

// Hosts is the provider of one cluster's hosts as one controller reaches it.
// It implements hosts.Provider.
type Hosts struct {
	c  *Controller
	of cluster.Name
	// places are the machines that were given to the cluster; nil where hosts
	// are made at will.
	places []netip.Addr
}

// sees says whether the provider can tell what runs on a host. A cloud, which makes
// hosts at will elsewhere, cannot.
func (p Hosts) sees() bool { return p.places != nil || p.c.w.local() }

func hostErrs() errs {
	return errs{failed: errors.New("hosts: service unavailable"), lost: errors.New("hosts: connection reset by peer")}
}

func hostName(n cluster.MemberName) string { return "host " + string(n) }

// List implements hosts.Provider.
func (p Hosts) List(ctx context.Context) (hosts.Listing, error) {
	var out []cluster.Host
	var given hosts.Listing
	err := p.c.call(ctx, &op{kind: read, verb: "list hosts", object: string(p.of), errs: hostErrs()}, func(o *op) error {
		p.c.w.rules.readsAll(p.c, "host ")
		p.c.listed = p.c.w.moment()
		clear(p.c.heard)
		if p.places != nil {
			var dark bool
			if given, dark = p.c.w.survey(p.of, p.places, false); dark && p.c.w.chance.IntN(2) == 0 {
				p.c.w.answer(o, nil, slowDark)
				return errParked
			}
			return nil
		}
		for _, h := range p.c.w.hosts {
			if h.of != p.of || h.astray {
				continue
			}
			if h.unclaimed {
				given.Places = append(given.Places, cluster.Place{Member: h.Name, Unknown: "its claim cannot be read", Lasting: true})
				continue
			}
			if h.hidden {
				out, given = nil, hosts.Listing{}
				return fmt.Errorf("host %s may exist but cannot be listed", h.Name)
			}
			out = append(out, h.Host)
		}
		return nil
	})
	if err != nil {
		return hosts.Listing{}, err
	}
	if p.places != nil {
		return given, nil
	}
	return hosts.Listing{Hosts: out, Places: given.Places}, nil
}

// At implements hosts.Provider.
func (p Hosts) At(ctx context.Context, addresses []netip.Addr) (l hosts.Listing, err error) {
	if p.places == nil {
		return l, nil
	}
	err = p.c.call(ctx, &op{kind: read, verb: "look at", object: fmt.Sprint(addresses), errs: hostErrs()}, func(o *op) error {
		p.c.w.rules.readsAll(p.c, "host ")
		var dark bool
		if l, dark = p.c.w.survey(p.of, addresses, true); dark && p.c.w.chance.IntN(2) == 0 {
			p.c.w.answer(o, nil, slowDark)
			return errParked
		}
		return nil
	})
	if err != nil {
		return hosts.Listing{}, err
	}
	return l, nil
}

// Launch implements hosts.Provider.
func (p Hosts) Launch(ctx context.Context, name cluster.MemberName, token cluster.Token, others ...netip.Addr) error {
	return p.c.call(ctx, &op{kind: write, verb: "launch", object: hostName(name), errs: hostErrs()}, func(*op) error {
		w := p.c.w
		if h := w.host(p.of, name); h != nil && !w.opts.NoToken {
			if h.astray && !p.c.w.given() && h.process == nil {
				p.c.w.remove(h) // nothing is left of it
				return p.make(name, token, others)
			}
			if h.astray { // a second host of this name is not modeled; see proven
				p.c.w.rules.besides(p.c, h)
				return hostErrs().failed
			}
			if h.Token != token || h.unclaimed {
				return fmt.Errorf("launch host %s: %w", name, hosts.ErrForeign)
			}
			return nil
		}
		return p.make(name, token, others)
	})
}

// make makes a host on a free place.
func (p Hosts) make(name cluster.MemberName, token cluster.Token, others []netip.Addr) error {
	w := p.c.w
	addr := w.vacant()
	if p.places != nil {
		var err error
		if addr, err = w.free(p.places, others); err != nil {
			return fmt.Errorf("launch host %s: %w", name, err)
		}
	}
	h := w.newHost(p.of, name, token, addr)
	if w.opts.Spec.MakesMachines() {
		h.Pending, h.Blank, h.up = "its machine is being made", true, time.Now().Add(w.between(0, 20*time.Second))
	}
	w.rules.launched(p.c, h)
	if w.befalls(w.rates.DieStarting) {
		w.count("fault: host dies while starting")
		w.after(w.between(time.Millisecond, 500*time.Millisecond), func() {
			if w.rates != (Rates{}) { // or else the world has healed
				w.vanish(h, "dies while starting")
			}
		})
	}
	return nil
}

// Await implements hosts.Provider.
func (p Hosts) Await(ctx context.Context, host cluster.Host, _ func(string)) error {
	return p.c.call(ctx, &op{kind: write, verb: "await", object: hostName(host.Name), errs: hostErrs()}, func(o *op) error {
		w, h := p.c.w, p.c.w.host(p.of, host.Name)
		switch {
		case h == nil || h.astray:
			return fmt.Errorf("await host %s: there is no such host", host.Name)
		case h.Pending == "":
			return nil
		case h.unreachable:
			return fmt.Errorf("await host %s: no route to host", host.Name)
		}
		if h.up.IsZero() { // it was stopped, and is started now
			h.up = time.Now().Add(w.between(0, 20*time.Second))
		}
		long := max(0, time.Until(h.up))
		w.after(long, h.raise)
		w.answer(o, nil, long)
		return errParked
	})
}

// raise brings up the machine of a host.
func (h *host) raise() { h.Pending, h.Blank, h.up = "", false, time.Time{} }

// vacant is the first address that no host has.
func (w *World) vacant() netip.Addr {
	addr := netip.AddrFrom4([4]byte{10, 5, 1, 1})
	for w.at(addr) != nil {
		addr = addr.Next()
	}
	return addr
}

// newHost makes a host at an address.
func (w *World) newHost(of cluster.Name, name cluster.MemberName, token cluster.Token, addr netip.Addr) *host {
	home := "/var/lib/pleiad/" + string(of) + "/" + string(name)
	h := &host{of: of, made: w.moment(), unmarked: w.opts.NoMark, resolver: map[cluster.Key]remembered{}, fresh: true, Host: cluster.Host{Name: name, Address: addr,
		Ports: cluster.StandardPorts(), Token: token, Paths: cluster.Paths{Config: home + "/config", Data: home + "/data"}}}
	w.hosts = append(w.hosts, h)
	slices.SortFunc(w.hosts, func(a, b *host) int { return cmp.Or(cmp.Compare(a.of, b.of), cmp.Compare(a.Name, b.Name)) })
	return h
}

// Terminate implements hosts.Provider.
func (p Hosts) Terminate(ctx context.Context, host cluster.Host, fate hosts.DataFate) error {
	name := host.Name
	return p.c.call(ctx, &op{kind: write, verb: "terminate", object: hostName(name), errs: hostErrs()}, func(*op) error {
		w := p.c.w
		h := w.host(p.of, name)
		switch {
		case h == nil || h.astray && (p.places == nil || h.Address != host.Address):
			return nil
		case h.unclaimed:
			return fmt.Errorf("terminate host %s: %w", name, hosts.ErrForeign)
		case h.process != nil && p.sees(), host.Blank && !h.Blank:
			return fmt.Errorf("terminate host %s: %w", name, hosts.ErrBusy)
		}
		w.rules.terminates(p.c, h, fate)
		if h.process != nil {
			w.end(h, "its host is gone")
		}
		if fate == hosts.KeepData && h.log != nil {
			w.kept = append(w.kept, kept{h.of, h.Name, *h.log})
		}
		w.remove(h)
		return nil
	})
}

// kept is data that was moved aside when its host was removed. No host has it.
type kept struct {
	of   cluster.Name
	name cluster.MemberName
	log  identity
}

// remove takes a host out of the world.
func (w *World) remove(h *host) {
	h.gone = true
	w.hosts = slices.DeleteFunc(w.hosts, func(x *host) bool { return x == h })
}
