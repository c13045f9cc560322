package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// Controller is one command at work in a world.
type Controller struct {
	// Name stands in the trace and is the controller's alone.
	Name string
	// Consent is what its person has agreed to lose.
	Consent Consent
	w       *World
	store   *Store
	program cluster.Program
	size    int        // how many members its spec wants
	names   *rand.Rand // of fresh names; drawn by the loop's own goroutine only
	cancel  context.CancelCauseFunc
	begun   bool
	ended   bool
	denied  bool            // the name server refuses its credentials
	unread  bool            // its state directory could not be read the last time
	unsure  map[string]bool // what an unknown outcome left unknown (rule R12)
	epoch   int             // orders what the loop tells; see hear
	// owed are the members that it must name as left.
	owed []*host
	// marker is the one that it last read; nil for none.
	marker *cluster.Marker
	// listed is the moment at which it last saw the hosts, looked when it last
	// saw each member serve.
	listed int
	looked map[cluster.MemberName]time.Time
	// served is when it last saw each member serve that did so then.
	served map[cluster.MemberName]time.Time
	// heard are the members that others hear, as they have said since it last saw the
	// hosts.
	heard map[cluster.MemberName]bool
	// inspected is the moment at which it last saw what runs on each host.
	inspected map[cluster.MemberName]int
}

// Consent is what a person has agreed to lose with a command (rule R14).
type Consent int

// An up loses nothing, a destroy hosts, and their data too unless that is kept.
const (
	LoseNothing Consent = iota
	LoseHosts
	LoseData
)

// Controller makes a controller with a name of its own, acting from a store.
func (w *World) Controller(name string, store *Store) *Controller {
	return &Controller{Name: name, w: w, store: store, program: w.programs.now, unsure: map[string]bool{}, looked: map[cluster.MemberName]time.Time{}, served: map[cluster.MemberName]time.Time{}, heard: map[cluster.MemberName]bool{},
		inspected: map[cluster.MemberName]int{},
		names:     rand.New(rand.NewPCG(w.chance.Uint64(), 2))}
}

// World is the world as this controller reaches it. Without a server of ours
// the zone belongs to somebody else.
func (c *Controller) World(spec cluster.Spec) world.World {
	c.size = spec.Members
	w := world.World{
		DNS:       dns.Guard(spec, Zone{c}),
		Hosts:     Hosts{c, spec.Cluster, nil},
		Deliver:   Deliverer{c, spec.Cluster},
		Etcd:      Inspector{c, spec.Cluster},
		Members:   Changer{c, spec.Cluster},
		Authority: Authority{c},
		Fresh:     c.fresh,
		Clock:     c.w.now,
	}
	if spec.Machines() != nil {
		w.Hosts = Hosts{c, spec.Cluster, spec.Machines()}
	}
	if spec.ServesZone() {
		w.Server = Server{c}
	}
	return w
}

// Go runs f in a goroutine of its own as this controller's life. The context
// ends when the controller crashes.
func (c *Controller) Go(f func(context.Context)) {
	ctx, cancel := context.WithCancelCause(context.Background())
	c.cancel, c.begun = cancel, true
	c.w.log(c.Name, "begins", "", "")
	go func() {
		defer c.w.leave(func() { c.w.exits = append(c.w.exits, c) })
		defer cancel(nil)
		f(ctx)
	}()
}

// Ended says whether the controller's life is over.
func (c *Controller) Ended() bool { return c.ended }

// Crash kills a controller at this moment. Of each call on its way the seed
// decides whether it still arrives.
func (c *Controller) Crash() {
	c.w.log(c.Name, "crashes", "", "")
	c.w.count("fault: crash")
	c.cancel(errCrashed)
	for _, o := range slices.Concat(c.w.flying, c.w.pending) {
		if o.by == c {
			c.w.cut(o)
		}
	}
}

// Do lets f act on the world between two of its events.
func (c *Controller) Do(f func()) {
	err := c.call(context.Background(), &op{kind: read, verb: "do", object: "anything"}, func(*op) error { f(); return nil })
	if err != nil {
		panic(fmt.Sprintf("do: %v", err)) // nothing can end it
	}
}

func (c *Controller) fresh(n int) cluster.Fresh {
	word := func(alphabet string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[c.names.IntN(len(alphabet))]
		}
		return string(b)
	}
	f := cluster.Fresh{Owner: cluster.Owner(word("0123456789abcdef", 8)), Token: cluster.Token(word("0123456789abcdef", 8))}
	for range n {
		f.Members = append(f.Members, cluster.MemberName("etcd-"+word(cluster.NameLetters, 7)))
	}
	return f
}
