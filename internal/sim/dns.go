package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// zone is the authoritative data, durable whatever happens to its server, and
// the server. A zone that is somebody else's has a server that only faults
// take down.
type zone struct {
	sets   map[cluster.Key]cluster.RecordSet
	serial int
	// former are values that sets once had, for resolvers that are behind.
	former map[cluster.Key][]*cluster.RecordSet
	// past are what our names were after each change, while nothing on them was
	// a stranger's.
	past []cluster.Records
	// foreign are sets that strangers wrote or spoiled, with the values that
	// are theirs.
	foreign map[cluster.Key][]string
	// spoiled are keys that a stranger changed: what is there is not ours to
	// answer for.
	spoiled map[cluster.Key]bool

	theirs  bool   // somebody else serves it
	address string // of our own server; empty before its first start
	running bool
	denied  bool // all credentials are refused
	silent  bool // it takes requests and says nothing
	stuck   bool // our own server does not start
	damaged bool // our own server's file cannot be read
}

func newZone(theirs bool) zone {
	return zone{theirs: theirs, running: theirs, sets: map[cluster.Key]cluster.RecordSet{}, former: map[cluster.Key][]*cluster.RecordSet{},
		foreign: map[cluster.Key][]string{}, spoiled: map[cluster.Key]bool{}}
}

// put makes a record set be exactly this, nil for absent.
func (z *zone) put(k cluster.Key, set *cluster.RecordSet) {
	z.former[k] = append(z.former[k], z.get(k))
	if set == nil {
		delete(z.sets, k)
		return
	}
	c := set.Canonical()
	z.sets[k] = c
}

func (z *zone) get(k cluster.Key) *cluster.RecordSet {
	set, ok := z.sets[k]
	if !ok {
		return nil
	}
	set.Values = slices.Clone(set.Values)
	return &set
}

// keys are all names in the zone, sorted.
func (z *zone) keys() []cluster.Key { return sorted(maps.Keys(z.sets)) }

func sorted(keys iter.Seq[cluster.Key]) []cluster.Key {
	return slices.SortedFunc(keys, func(a, b cluster.Key) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.Type), string(b.Type)))
	})
}

// Zone is the zone as one controller reaches it. It implements dns.Zone.
type Zone struct{ c *Controller }

// dnsErrs are what a name server's answer turns into when it fails or is lost.
func dnsErrs() errs {
	return errs{failed: fmt.Errorf("ask the name server: %w", dns.ErrUnreachable), lost: fmt.Errorf("change records: %w", dns.ErrUnknownOutcome)}
}

// Read implements dns.Zone.
func (z Zone) Read(ctx context.Context, keys []cluster.Key) (cluster.Records, error) {
	if err := dns.CheckKeys(keys); err != nil {
		return cluster.Records{}, fmt.Errorf("read records: %w", err)
	}
	var out cluster.Records
	err := z.c.call(ctx, &op{kind: read, verb: "read records", object: subject(keys), errs: dnsErrs()}, func(*op) error {
		w := z.c.w
		if !w.zone.running && (w.zone.theirs || w.zone.damaged) {
			return dnsErrs().failed // our own can be read from its file
		}
		if w.zone.silent {
			return errParked
		}
		var changes []cluster.Change
		for _, k := range keys {
			w.rules.reads(z.c, recordName(k))
			set := w.zone.get(k)
			if set != nil {
				changes = append(changes, cluster.Change{Key: k, New: set})
			}
			if k == w.opts.Spec.MarkerKey() {
				z.c.marker = w.rules.now()
			}
		}
		out = cluster.Records{}.With(changes)
		return nil
	})
	if err != nil {
		return cluster.Records{}, err
	}
	return out, nil
}

func subject(keys []cluster.Key) string {
	if len(keys) == 0 {
		return "none"
	}
	text := keys[0].Name + " " + string(keys[0].Type)
	if len(keys) > 1 {
		text += fmt.Sprintf(" and %d more", len(keys)-1)
	}
	return text
}

func recordName(k cluster.Key) string { return "record " + k.Name + " " + string(k.Type) }

// Apply implements dns.Zone.
func (z Zone) Apply(ctx context.Context, changes []cluster.Change) (dns.Receipt, error) {
	if err := dns.Check(changes); err != nil {
		return "", fmt.Errorf("change records: %w", err)
	}
	var receipt dns.Receipt
	var records []string
	for _, c := range changes {
		records = append(records, recordName(c.Key))
	}
	err := z.c.call(ctx, &op{kind: write, verb: "change records", object: summary(changes), records: records, errs: dnsErrs()}, func(*op) error {
		w := z.c.w
		if !w.zone.running && (w.zone.theirs || w.zone.damaged) {
			return dnsErrs().failed // our own can be changed in its file
		}
		if w.zone.silent {
			return errParked
		}
		if w.zone.denied || z.c.denied {
			return fmt.Errorf("change records: %w", dns.ErrDenied)
		}
		for _, c := range changes {
			if !dns.Same(c.Old, w.zone.get(c.Key)) {
				return fmt.Errorf("change records: %s %s: %w", c.Name, c.Type, dns.ErrConflict)
			}
		}
		before := w.zone.snapshot()
		for _, c := range changes {
			if !dns.Same(c.Old, c.New) {
				w.zone.put(c.Key, c.New)
			}
		}
		w.zone.serial++
		receipt = dns.Receipt(fmt.Sprint(w.zone.serial))
		w.rules.changed(z.c, changes, before)
		if len(w.zone.foreign) == 0 {
			w.zone.past = append(w.zone.past, w.zone.snapshot())
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return receipt, nil
}

// snapshot is the zone as it is.
func (z *zone) snapshot() cluster.Records {
	var r cluster.Records
	for _, k := range z.keys() {
		r.Sets = append(r.Sets, *z.get(k))
	}
	return r
}

// summary says in a few words what a change set does: to which phase and
// generation the marker goes, and how many other sets come, go or change.
func summary(changes []cluster.Change) string {
	var parts []string
	added, deleted, changed := 0, 0, 0
	for _, c := range changes {
		switch {
		case c.Type == cluster.TXT && c.New != nil:
			if m, err := cluster.ParseMarker(strings.Join(c.New.Values, " ")); err == nil {
				parts = append(parts, fmt.Sprintf("%s gen %d", m.Phase, m.Generation))
			}
		case c.Type == cluster.TXT:
			parts = append(parts, "no marker")
		case dns.Same(c.Old, c.New):
		case c.Old == nil:
			added++
		case c.New == nil:
			deleted++
		default:
			changed++
		}
	}
	return strings.Join(append(parts, fmt.Sprintf("+%d -%d ~%d", added, deleted, changed)), " ")
}

// Settled implements dns.Zone: there is one authoritative server.
func (z Zone) Settled(ctx context.Context, _ dns.Receipt) error { return ctx.Err() }

// Server is the name server's process as one controller reaches it, where it
// is ours. It implements dns.Server.
type Server struct{ c *Controller }

func serverErrs() errs {
	return errs{failed: errors.New("name server: fork: resource temporarily unavailable"), lost: errors.New("name server: did not answer in time")}
}

const theServer = "name server"

// Status implements dns.Server.
func (s Server) Status(ctx context.Context) (cluster.NameServer, error) {
	var out cluster.NameServer
	err := s.c.call(ctx, &op{kind: read, verb: "status", object: theServer, errs: serverErrs()}, func(*op) error {
		s.c.w.rules.reads(s.c, theServer)
		out = cluster.NameServer{Managed: true, Running: s.c.w.zone.running, Address: s.c.w.zone.address}
		return nil
	})
	return out, err
}

// Start implements dns.Server.
func (s Server) Start(ctx context.Context) error {
	return s.c.call(ctx, &op{kind: write, verb: "start server", object: theServer, errs: serverErrs()}, func(*op) error {
		if s.c.w.zone.stuck {
			return errors.New("start name server: address already in use")
		}
		s.c.w.zone.running, s.c.w.zone.address = true, "127.64.0.53:53"
		return nil
	})
}

// Stop implements dns.Server.
func (s Server) Stop(ctx context.Context) error {
	return s.c.call(ctx, &op{kind: write, verb: "stop server", object: theServer, errs: serverErrs()}, func(*op) error {
		s.c.w.zone.running = false
		return nil
	})
}

// Remove implements dns.Server.
func (s Server) Remove(ctx context.Context) error {
	return s.c.call(ctx, &op{kind: write, verb: "remove server", object: theServer, errs: serverErrs()}, func(*op) error {
		z := &s.c.w.zone
		if z.running {
			return errors.New("remove name server: it is running")
		}
		// A marker that is there again was claimed by a command in another state
		// directory, after this one had looked. In the world each directory has
		// a server of its own, and a lock for the commands in it.
		if marker := (s.c.w.opts.Spec.MarkerKey()); z.get(marker) != nil {
			s.c.w.count("fault: crossing")
			z.spoiled[marker] = true
		}
		for _, k := range z.keys() {
			z.put(k, nil)
		}
		clear(z.foreign) // what strangers wrote goes with the zone
		// Hosts that are left still lack the marker that a stranger deleted.
		if len(s.c.w.rules.ours()) == 0 {
			clear(z.spoiled)
		}
		z.address = ""
		return nil
	})
}

// lifetime is how long resolvers remember an authoritative answer.
func lifetime(set *cluster.RecordSet, negative time.Duration) time.Duration {
	if set == nil {
		return negative
	}
	return time.Duration(set.TTL) * time.Second
}
