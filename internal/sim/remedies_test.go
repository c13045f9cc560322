package sim

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// remedy is how one way out of a refusal is tried.
type remedy struct {
	// spec changes the spec; the default is three members and a zone of
	// somebody else's.
	spec func(*cluster.Spec)
	// fresh begins in an empty world instead of with a converged cluster.
	fresh bool
	// befall makes the next command refuse.
	befall func(*stage)
	// verb, asked and as are that command, if it is not a plain up: its verb,
	// what it asks for, and the state directory it works from.
	verb  string
	asked func(*cluster.Spec)
	as    *Store
	// also are other situations that lead to the same remedy.
	also []func(*stage)
	// follow does what is printed, given as its lines; more than one where the
	// text offers a choice. Each is tried in a world of its own.
	follow []func(*stage, []string)
	// end is the check after that; the default is that up reaches its goal and
	// the whole world agrees.
	end func(*stage)
	// elsewhere says why the way cannot be tried here.
	elsewhere string
}

// TestRemedies carries out every remedy that the planner can print, and fails
// for one that it does not know: see plan.Way.
func TestRemedies(t *testing.T) {
	for _, way := range plan.Ways() {
		r, known := tried[way]
		switch {
		case !known:
			t.Errorf("remedy %q is not tried: add a case to the table in remedies_test.go", way)
		case r.elsewhere == "" && len(r.follow) == 0:
			t.Errorf("remedy %q has a case that does nothing", way)
		}
		for i, befall := range append([]func(*stage){r.befall}, r.also...) {
			for j, follow := range r.follow {
				t.Run(fmt.Sprintf("%s/%d.%d", way, i, j), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { r.try(t, way, befall, follow) })
				})
			}
		}
	}
}

func (r remedy) try(t *testing.T, way plan.Way, befall func(*stage), follow func(*stage, []string)) {
	s := newStage(t, r.spec)
	if !r.fresh {
		s.reach("up")
	}
	befall(s)
	asked, store := s.spec, s.mine
	if r.asked != nil {
		r.asked(&asked)
	}
	if r.as != nil {
		store = r.as
	}
	verb := "up"
	if r.verb != "" {
		verb = r.verb
	}
	out := s.run(verb, asked, store)
	var lines []string
	for _, refusal := range out.Refusals {
		for _, m := range refusal.Remedy {
			if m.Way() == way {
				lines = append(lines, m.String())
			}
		}
	}
	if lines == nil {
		t.Fatalf("%s does not print it: %v", verb, out.Refusals)
	}
	follow(s, lines)
	if r.end != nil {
		r.end(s)
	} else {
		s.reach("up")
		for _, d := range s.w.Disagreements(s.spec) {
			t.Errorf("afterwards %s", d)
		}
	}
	for _, v := range s.w.Violations() {
		t.Error(v)
	}
	if t.Failed() {
		t.Log(strings.Join(s.w.Trace(), "\n"))
	}
}

// stage is a world with one cluster, and a person at it.
type stage struct {
	*testing.T
	w    *World
	spec cluster.Spec
	mine *Store
	// original is what mine is a copy of, if it is one.
	original *Store
	runs     int
	kept     map[*host]identity // data that was moved away
	gone     *host              // that vanished
	lost     *host              // that nobody reaches
	// denied says that the name server shows us nothing.
	denied bool
	// untraced says that nobody can look for what runs of removed hosts, careless
	// that the planner takes that for nothing.
	untraced, careless bool
	// agrees says that a person has agreed to an older program.
	agrees bool
	// watch hears of each plan, and of what it was made from.
	watch func(plan.Planner, cluster.State, plan.Plan)
	// dooms says that each member that is to join loses its data before it votes.
	dooms bool
}

// closed is a zone that is not shown to us.
type closed struct{ dns.Zone }

func (closed) Read(context.Context, []cluster.Key) (cluster.Records, error) {
	return cluster.Records{}, fmt.Errorf("read records: %w", dns.ErrDenied)
}

// untraceable are hosts of which it cannot be found out what runs where they were.
type untraceable struct{ hosts.Provider }

func (untraceable) Trace(context.Context) ([]cluster.Host, error) {
	return nil, errors.New("trace hosts: permission denied")
}

func newStage(t *testing.T, change func(*cluster.Spec)) *stage {
	s := &stage{T: t, mine: &Store{}, kept: map[*host]identity{}, spec: cluster.Spec{Cluster: "c1", Domain: "c1.test", Members: 3, TLS: true}}
	s.spec.Hosts.Local = &cluster.LocalHosts{}
	if change != nil {
		change(&s.spec)
	}
	s.w = New(Options{Seed: 1, Spec: s.spec, Idle: synctest.Wait, Negative: 10 * time.Second})
	return s
}

// run runs a command to its end.
func (s *stage) run(verb string, spec cluster.Spec, store *Store) converge.Outcome {
	s.Helper()
	out, err := s.until(verb, spec, store, "")
	if err != nil {
		s.Fatalf("%s: %v", verb, err)
	}
	return out
}

// until runs a command until it is about to take a step that begins so.
func (s *stage) until(verb string, spec cluster.Spec, store *Store, step string) (out converge.Outcome, err error) {
	s.Helper()
	s.runs++
	c := s.w.Controller(fmt.Sprintf("%s-%d", verb, s.runs), store)
	world := c.World(spec)
	if s.denied {
		world.DNS = closed{world.DNS}
	}
	if s.untraced {
		world.Hosts = untraceable{world.Hosts}
	}
	loop := converge.Up(spec, world)
	if verb == "destroy" {
		loop, c.Consent = converge.Destroy(spec, world), LoseData
	}
	if s.agrees {
		loop.Wish(plan.Wishes{Older: true})
	}
	if name, named := strings.CutPrefix(verb, "replace "); named {
		loop.Wish(plan.Wishes{Replaced: []cluster.MemberName{cluster.MemberName(name)}})
	}
	if s.careless {
		next := loop.Next
		loop.Next = func(spec cluster.Spec, st cluster.State) plan.Plan {
			st.Untraced = ""
			return next(spec, st)
		}
	}
	if s.watch != nil {
		next := loop.Next
		loop.Next = func(spec cluster.Spec, st cluster.State) plan.Plan {
			p := next(spec, st)
			s.watch(next, st, p)
			return p
		}
	}
	loop.Report = c
	c.Go(func(ctx context.Context) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		loop.Boundary = func(_ context.Context, when, next string) {
			if step != "" && when == "before" && strings.HasPrefix(next, step) {
				cancel()
			}
			if name, promotes := strings.CutPrefix(next, "promote learner "); promotes && s.dooms && when == "before" {
				s.moveData(s.named(name))
			}
		}
		out, err = loop.Run(ctx)
	})
	if err := s.w.Run(time.Hour, c.Ended); err != nil {
		s.Fatalf("%s: %v", verb, err)
	}
	return out, err
}

// reach runs a command that must succeed.
func (s *stage) reach(verb string) {
	s.Helper()
	if out := s.run(verb, s.spec, s.mine); !out.Reached() {
		s.Fatalf("%s does not reach its goal: %v %v\n%s", verb, out.Refusals, out.Differences, strings.Join(s.w.Trace(), "\n"))
	}
}

// first is the first host of the cluster.
func (s *stage) first() *host { return s.w.rules.ours()[0] }

// named is the host of a member.
func (s *stage) named(name string) *host {
	for _, h := range s.w.rules.ours() {
		if string(h.Name) == name {
			return h
		}
	}
	s.Fatalf("there is no host %s", name)
	return nil
}

// stop ends a member.
func (s *stage) stop(h *host) {
	if h.process != nil {
		s.w.end(h, "signal: killed")
	}
}

// copyStore goes on from a copy of the state directory.
func (s *stage) copyStore() { s.original, s.mine = s.mine, s.mine.Duplicate() }

// copyHost puts a host's folder back from a backup.
func (s *stage) copyHost() {
	s.stop(s.first())
	s.first().Copy = "its folder was put back from a backup"
}

// moveData takes a member's data away.
func (s *stage) moveData(h *host) {
	s.stop(h)
	s.kept[h] = *h.log
	h.log, h.fresh = nil, false
}

func (s *stage) putDataBack() {
	for h, log := range s.kept {
		h.log, h.fresh = &log, true
	}
}

// put replaces a record set; without values it is deleted.
func (s *stage) put(name string, kind cluster.RecordType, values ...string) {
	set := cluster.NewRecordSet(name, kind, values...)
	if len(values) == 0 {
		s.w.zone.put(set.Key, nil)
		s.w.zone.spoiled[set.Key] = true
		return
	}
	s.w.intrude(set)
}

// edit changes the marker.
func (s *stage) edit(change func(*cluster.Marker)) {
	m := *s.w.rules.now()
	m.Members = slices.Clone(m.Members)
	change(&m)
	set := cluster.NewRecordSet(s.spec.MarkerName(), cluster.TXT, m.String())
	s.w.zone.put(set.Key, &set)
	s.w.zone.spoiled[set.Key] = true
}

// restore puts back the record that is among the printed lines.
func (s *stage) restore(lines []string) {
	i := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, " TXT ") })
	if i < 0 {
		s.Fatalf("no record in %q", lines)
	}
	if err := s.w.Restore(lines[i]); err != nil {
		s.Fatal(err)
	}
}

// fillIn puts the records of the host that is gone where the printed lines ask for
// them, with what is known of it.
func (s *stage) fillIn(lines []string) {
	for _, line := range lines {
		line = strings.NewReplacer("ADDRESS", s.gone.Address.String(), "PORT", strconv.Itoa(int(s.gone.Ports.Peer))).Replace(line)
		f := strings.SplitN(line, " ", 4) // name, TTL, type, value
		if kind := cluster.RecordType(f[2]); kind == cluster.A || kind == cluster.SRV {
			set := cluster.NewRecordSet(f[0], kind, f[3])
			s.w.zone.put(set.Key, &set)
		}
	}
}

// loseAll lets all hosts of the cluster vanish.
func (s *stage) loseAll() {
	for _, h := range s.w.rules.ours() {
		s.w.vanish(h, "vanishes")
	}
}

// againWithMarker puts the marker back that up prints, if it prints one, and takes
// the cluster down after that.
func (s *stage) againWithMarker() {
	was := s.w.rules.now()
	for _, r := range s.run("up", s.spec, s.mine).Refusals {
		for _, m := range r.Remedy {
			if m.Way() == plan.PutMarkerBack && strings.Contains(m.String(), " TXT ") {
				s.restore([]string{m.String()})
			}
		}
	}
	if now := s.w.rules.now(); was != nil && (now.Token != was.Token || len(now.Members) != s.spec.Members) {
		s.Errorf("the marker that is printed is %s", now)
	}
	s.reach("destroy")
}

// update does what nsupdate is given, where that is printed.
func (s *stage) update(lines []string) {
	for _, line := range lines {
		_, script, ok := strings.Cut(line, "printf '%s\\n' ")
		script, _, piped := strings.Cut(script, " | nsupdate ")
		if !ok || !piped {
			s.Fatalf("no command in %q", line)
		}
		out, err := exec.Command("sh", "-c", "printf '%s\\n' "+script).Output()
		if err != nil {
			s.Fatal(err)
		}
		for text := range strings.Lines(string(out)) {
			text, ok := strings.CutPrefix(strings.TrimSpace(text), "update delete ")
			if !ok {
				continue
			}
			rr, err := wire.NewRR(strings.Replace(text, " ", " 60 IN ", 1))
			if err != nil {
				s.Fatalf("update delete %s: %v", text, err)
			}
			s.takeOut(rr)
		}
	}
}

// takeOut removes one value of a record set, which must be there.
func (s *stage) takeOut(rr wire.RR) {
	key := cluster.Key{Name: rr.Header().Name, Type: cluster.RecordType(wire.TypeToString[rr.Header().Rrtype])}
	value := strings.TrimPrefix(rr.String(), rr.Header().String())
	if txt, ok := rr.(*wire.TXT); ok {
		value = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(strings.Join(txt.Txt, ""))
	}
	set := s.w.zone.get(key)
	if set == nil || !slices.Contains(set.Values, value) {
		s.Fatalf("%v has no value %q", set, value)
	}
	if !slices.Contains(s.w.zone.foreign[key], value) {
		s.Errorf("%q is no stranger's", value)
	}
	less := func(values []string) []string {
		return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == value })
	}
	s.w.zone.foreign[key] = less(s.w.zone.foreign[key])
	if left := less(set.Values); len(left) > 0 {
		rest := cluster.NewRecordSet(key.Name, key.Type, left...)
		s.w.zone.put(key, &rest)
	} else {
		s.w.zone.put(key, nil)
	}
}

// removeByHand does what is printed, line by line.
func (s *stage) removeByHand(lines []string) {
	for _, line := range lines {
		if where, command, ok := strings.Cut(line, ", as root: "); ok && command == node.RemoveByHand {
			h := s.w.at(netip.MustParseAddr(strings.TrimPrefix(where, "on ")))
			s.stop(h)
			s.w.remove(h)
		}
		if _, set, ok := strings.Cut(line, ": delete "); ok {
			name, kind, _ := strings.Cut(set, " ")
			s.put(name, cluster.RecordType(kind))
		}
	}
	s.destroyed()
}

// destroyed checks that nothing is left.
func (s *stage) destroyed() {
	for _, rest := range s.w.Remains(s.spec) {
		s.Errorf("there is still %s", rest)
	}
}

// onMachines gives the cluster machines, the first few of a network.
func onMachines(n int) func(*cluster.Spec) {
	return func(spec *cluster.Spec) {
		spec.Hosts = cluster.HostsSpec{SSH: &cluster.SSHHosts{}}
		for i := range n {
			spec.Hosts.SSH.Addresses = append(spec.Hosts.SSH.Addresses, machine(i+1))
		}
	}
}

func machine(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 5, 1, byte(n)}) }

func otherOptions(spec *cluster.Spec) {
	spec.Etcd.Options = map[string]string{"snapshot-count": "20000"}
}

// heal ends what lasts, as a person does who makes things readable again.
func heal(s *stage, _ []string) { s.w.Heal() }

// nothing is what a person does who is only told how things are.
func nothing(*stage, []string) {}

func startOver(s *stage, _ []string) {
	s.reach("destroy")
	s.destroyed()
	s.reach("up")
}

// tried are the ways, each with how it is tried.
var tried = map[plan.Way]remedy{
	plan.ReadControl: {
		befall: func(s *stage) { s.w.SetRates(Rates{Fail: 1000}) },
		follow: []func(*stage, []string){heal},
	},
	plan.ReadHosts: {
		befall: func(s *stage) { s.first().hidden = true },
		follow: []func(*stage, []string){heal},
	},
	plan.ReachNameServer: {
		befall: func(s *stage) { s.w.zone.running = false },
		follow: []func(*stage, []string){heal},
	},
	plan.ServerSays:     {elsewhere: "the words are the provider's: those of package embedded are tried in cmd/pleiad, those of rfc2136 in e2e/dnsservers"},
	plan.KeysSay:        {elsewhere: "the words are those of package statedir: tried in cmd/pleiad, lost-keys.txtar"},
	plan.SaveData:       {elsewhere: "it takes a real etcd: tried in cmd/pleiad, lost-keys.txtar"},
	plan.AuthOff:        {elsewhere: "it takes a real etcd: tried in cmd/pleiad, alarms.txtar"},
	plan.ReplaceCorrupt: {elsewhere: "it takes a real etcd: tried in cmd/pleiad, alarms.txtar"},
	plan.CompareHashes:  {elsewhere: "it takes a real etcd: tried in cmd/pleiad, alarms.txtar"},
	plan.MakeRoom:       {elsewhere: "it takes a real etcd: tried in cmd/pleiad, alarms.txtar"},
	plan.RaiseQuota:     {elsewhere: "it takes a real etcd: tried in cmd/pleiad, alarms.txtar"},
	plan.Disarm:         {elsewhere: "it takes a real etcd: tried in cmd/pleiad, alarms.txtar"},
	plan.FreeDisk: {
		befall: func(s *stage) { s.first().free = new(int64) },
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.first().free = nil }},
	},
	plan.CompareKey: {
		befall: func(s *stage) { s.denied = true },
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.denied = false }},
	},
	plan.RemoveValues: {
		befall: func(s *stage) { s.put(s.spec.MarkerName(), cluster.TXT, "v=spf1 -all") },
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.w.Tidy() }},
	},
	plan.OtherDomain: {
		fresh:  true,
		befall: func(s *stage) { s.put(s.spec.MarkerName(), cluster.TXT, "v=spf1 -all") },
		follow: []func(*stage, []string){
			func(s *stage, _ []string) { s.spec.Domain, s.w.opts.Spec.Domain = "c2.test", "c2.test" },
			func(s *stage, _ []string) { s.spec.DiscoveryName, s.w.opts.Spec.DiscoveryName = "b2", "b2" },
		},
	},
	plan.NewerPleiad: {elsewhere: "it is done with a program that does not exist yet"},
	plan.OwnersDirectory: {
		befall: func(*stage) {}, as: &Store{},
		// s.mine is the directory that made it; what moving it takes is tried by
		// the scripts of cmd/pleiad.
		follow: []func(*stage, []string){nothing},
	},
	plan.SeeTakeDown: {
		spec:   onMachines(3),
		befall: func(s *stage) { s.mine = &Store{} },
		follow: []func(*stage, []string){func(s *stage, lines []string) {
			if !strings.HasSuffix(lines[0], ": pleiad plan --destroy") {
				s.Fatal(lines[0])
			}
			var printed []string
			for _, r := range s.run("destroy", s.spec, s.mine).Refusals { // which refuses what it would plan
				for _, m := range r.Remedy {
					printed = append(printed, m.String())
				}
			}
			s.removeByHand(printed)
		}},
	},
	plan.UseOriginal: {
		befall: (*stage).copyStore,
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.mine = s.original }},
	},
	plan.TakeOver: {
		befall: (*stage).copyStore,
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.mine.control.Copy = "" }},
	},
	plan.PutFolderBack: {
		befall: (*stage).copyHost,
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.first().Copy = "" }},
	},
	plan.TrustCopy: {
		befall: (*stage).copyHost,
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.first().Copy = "" }},
	},
	plan.FinishDestroy: {
		befall: func(s *stage) { s.until("destroy", s.spec, s.mine, "terminate host") },
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.reach("destroy"); s.destroyed() }},
	},
	plan.PutMarkerBack: {
		befall: func(s *stage) { s.put(s.spec.MarkerName(), cluster.TXT) },
		also: []func(*stage){
			func(s *stage) { s.edit(func(m *cluster.Marker) { m.Phase = cluster.Bootstrapping }) },
			func(s *stage) {
				s.edit(func(m *cluster.Marker) { m.Phase, m.ID, m.Generation = cluster.Bootstrapping, 0, 1 })
			},
			func(s *stage) { s.edit(func(m *cluster.Marker) { m.Generation = 1 }) },
			func(s *stage) { s.edit(func(m *cluster.Marker) { m.Token = "0ther" }) },
			func(s *stage) { s.edit(func(m *cluster.Marker) { m.ID++ }) },
			func(s *stage) { s.edit(func(m *cluster.Marker) { m.Members = m.Members[1:] }) },
			func(s *stage) { s.edit(func(m *cluster.Marker) { m.Members = append(m.Members, "etcd-zzzzzzz") }) },
			func(s *stage) { s.edit(func(m *cluster.Marker) { m.Owner = "them" }) },
			func(s *stage) { s.edit(func(m *cluster.Marker) { m.Cluster = "c9" }) },
			func(s *stage) { s.edit(func(m *cluster.Marker) { m.CA = "" }) },
			func(s *stage) { s.edit(func(m *cluster.Marker) { m.CA = "0ther" }) },
			func(s *stage) { // the zone of a former life
				former := s.w.zone.snapshot()
				s.reach("destroy")
				s.mine.control.Owner = s.w.rules.marker(former).Owner // as if it had been kept
				s.reach("up")
				for _, set := range former.Sets {
					if set.Name == s.spec.MarkerName() {
						m := *s.w.rules.marker(former)
						m.CA = s.mine.control.CA
						set.Values = []string{m.String()}
						s.w.zone.put(set.Key, &set)
						s.w.zone.spoiled[set.Key] = true
					}
				}
			},
			func(s *stage) { // all members down, nothing installed anew
				for _, h := range s.w.rules.ours() {
					s.stop(h)
				}
				s.edit(func(m *cluster.Marker) { m.Token = "0ther" })
			},
		},
		follow: []func(*stage, []string){(*stage).restore},
	},
	plan.DestroyUnwanted: {
		befall: func(s *stage) { s.put(s.spec.MarkerName(), cluster.TXT) },
		also: []func(*stage){
			func(s *stage) {
				s.edit(func(m *cluster.Marker) { m.Phase, m.ID, m.Generation = cluster.Bootstrapping, 0, 1 })
			},
			func(s *stage) { s.edit(func(m *cluster.Marker) { m.Members = m.Members[1:] }) },
			func(s *stage) { s.edit(func(m *cluster.Marker) { m.ID++ }) },
			func(s *stage) { s.edit(func(m *cluster.Marker) { m.CA = "" }) },
			func(s *stage) {
				s.loseAll()
				s.edit(func(m *cluster.Marker) { m.Members = nil })
			},
			func(s *stage) {
				s.loseAll()
				s.edit(func(m *cluster.Marker) { m.Members = m.Members[1:] })
			},
		},
		follow: []func(*stage, []string){
			func(s *stage, _ []string) { s.reach("destroy") },
			func(s *stage, _ []string) { s.againWithMarker() },
		},
		end: (*stage).destroyed,
	},
	plan.PutRecordsBack: {
		befall: func(s *stage) {
			lost := s.first()
			s.w.vanish(lost, "vanishes")
			for _, h := range s.w.rules.ours() {
				s.stop(h)
				h.node, h.digest = nil, ""
			}
			s.put(s.spec.HostName(lost.Name)+".", cluster.A)
			s.put(s.spec.ServerService(), cluster.SRV)
			s.gone = lost
		},
		follow: []func(*stage, []string){(*stage).fillIn},
		end: func(s *stage) {
			s.run("up", s.spec, s.mine)
			for _, h := range s.w.rules.ours() {
				if h.process == nil {
					s.Errorf("%s does not run", h.Name)
				}
			}
		},
	},
	plan.DeleteRecords: {
		fresh:  true,
		befall: func(s *stage) { s.put(s.spec.ServerService(), cluster.SRV, "0 0 2380 stranger.c1.test.") },
		also:   []func(*stage){func(s *stage) { s.put(s.spec.MarkerName(), cluster.TXT, "v=spf1 -all") }},
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.w.Clear(s.spec) }},
	},
	plan.SetTLSBack: {
		befall: func(*stage) {}, asked: func(spec *cluster.Spec) { spec.TLS = false },
		follow: []func(*stage, []string){nothing}, // s.spec is as it was
	},
	plan.SetMembersBack: {
		fresh:  true, // a cluster that is sealed grows
		befall: func(s *stage) { s.until("up", s.spec, s.mine, "publish") }, asked: func(spec *cluster.Spec) { spec.Members = 5 },
		follow: []func(*stage, []string){func(s *stage, lines []string) {
			n, err := strconv.Atoi(strings.TrimPrefix(lines[0], "set members: "))
			if err != nil {
				s.Fatal(err)
			}
			s.spec.Members = n
		}},
	},
	plan.StartOver: {
		also: []func(*stage){
			func(s *stage) { s.mine.control.CA, s.mine.control.Unusable = "", "client-ca.key: missing" },
			func(s *stage) { // a marker from before the list was published, and one member that runs without a host
				s.until("up", s.spec, s.mine, "publish")
				before := *s.w.rules.now()
				s.reach("up")
				lost := s.first()
				for _, h := range s.w.rules.ours()[1:] {
					s.w.vanish(h, "vanishes")
				}
				s.w.lose(lost)
				lost.proven = true
				s.w.Clear(s.spec)
				s.put(s.spec.MarkerName(), cluster.TXT, before.String())
				delete(s.w.zone.foreign, s.spec.MarkerKey())
			},
		},
		fresh: true,
		befall: func(s *stage) {
			s.until("up", s.spec, s.mine, "seal")
			s.moveData(s.first())
		},
		follow: []func(*stage, []string){startOver},
	},
	plan.ReachHost: {
		befall: func(s *stage) { s.first().unreachable = true },
		follow: []func(*stage, []string){heal},
	},
	plan.ReachPlace: {
		spec: onMachines(4), fresh: true,
		befall: func(s *stage) { s.w.dark[machine(4)] = true },
		follow: []func(*stage, []string){heal, func(s *stage, _ []string) { s.spec.Hosts.SSH.Addresses = s.spec.Hosts.SSH.Addresses[:3] }},
	},
	plan.OtherPlace: {
		spec: onMachines(3), fresh: true,
		befall: func(s *stage) { s.w.dark[machine(3)] = true },
		follow: []func(*stage, []string){heal, func(s *stage, _ []string) {
			s.spec.Hosts.SSH.Addresses = []netip.Addr{machine(1), machine(2), machine(4)}
		}},
	},
	plan.PlaceSays: {elsewhere: "the words are the provider's: TestRemedies in e2e/hosts does what they say"},
	plan.OtherMachines: {
		spec: onMachines(3), fresh: true,
		befall: func(s *stage) { s.w.newHost("theirs", "etcd-theirs1", "t0", machine(1)) },
		follow: []func(*stage, []string){
			func(s *stage, _ []string) {
				s.spec.Hosts.SSH.Addresses = []netip.Addr{machine(2), machine(3), machine(4)}
			},
			func(s *stage, _ []string) { s.w.remove(s.w.at(machine(1))) },
		},
	},
	plan.PutDataBack: {
		spec:   func(spec *cluster.Spec) { spec.Members = 1 }, // it cannot be replaced
		befall: func(s *stage) { s.moveData(s.first()) },
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.putDataBack() }},
	},
	plan.PutNewestBack: {
		spec: func(spec *cluster.Spec) { spec.Members = 1 }, // it cannot be replaced
		befall: func(s *stage) {
			h := s.first()
			s.w.Run(2*time.Second, func() bool { return h.mark.end == h.log.end })
			s.w.end(h, "signal: killed") // it writes no more
			s.kept[h] = *h.log
			s.w.rollBack(h)
		},
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.putDataBack() }},
	},
	plan.AcceptLoss: {
		spec: func(spec *cluster.Spec) { spec.Members = 1 },
		befall: func(s *stage) {
			h := s.first()
			s.w.Run(2*time.Second, func() bool { return h.mark.end == h.log.end })
			s.w.rollBack(h)
		},
		follow: []func(*stage, []string){func(s *stage, lines []string) {
			h := s.first()
			if command := fmt.Sprintf(": rm %s on host %s,", h.Paths.Mark(), h.Name); !strings.Contains(lines[0], command) {
				s.Fatalf("%q does not say %q", lines[0], command)
			}
			h.mark.member, h.mark.end = 0, 0
			s.w.etcds[h.log.cluster].written = h.log.end // the loss that is consented to
		}},
	},
	plan.LetOthersServe: {
		befall: func(s *stage) { // while it runs
			h := s.first()
			h.log, h.fresh = nil, false
		},
		follow: []func(*stage, []string){nothing},
		end: func(s *stage) {
			if got := s.w.Silent(); got != nil {
				s.Errorf("%v do not serve", got)
			}
		},
	},
	plan.RemoveForeign: {
		befall: func(s *stage) { s.put(s.spec.ServerService(), cluster.SRV, "0 0 2380 stranger.c1.test.") },
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.w.Tidy() }},
	},
	plan.DeleteValues: {
		spec: func(spec *cluster.Spec) {
			spec.DNS.RFC2136 = &cluster.RFC2136DNS{Server: "10.5.1.2", Zone: spec.Domain, KeyFile: "/etc/pleiad/tsig.key"}
		},
		befall: func(s *stage) { s.put(s.spec.ServerService(), cluster.SRV, "0 0 2380 stranger.c1.test.") },
		also: []func(*stage){
			func(s *stage) { s.put(s.spec.MarkerName(), cluster.TXT, `say "v=spf1" \ all`) },
			func(s *stage) { s.put(s.spec.HostName(s.first().Name)+".", cluster.A, "192.0.2.99", "192.0.2.98") },
			func(s *stage) { s.put(s.spec.HostName(s.first().Name)+".", cluster.AAAA, "2001:db8::99") },
			func(s *stage) { s.put(s.spec.RivalServices()[0], cluster.SRV, "0 0 2380 stranger.c1.test.") },
		},
		follow: []func(*stage, []string){(*stage).update},
	},
	plan.RemoveHost: {
		befall: func(s *stage) { s.w.newHost(s.spec.Cluster, "etcd-0thers1", "0ther", s.w.vacant()) },
		also: []func(*stage){func(s *stage) { // not found when its cluster was destroyed, and back when a new one begins
			h := s.first()
			s.stop(h)
			s.w.remove(h)
			s.reach("destroy")
			s.until("up", s.spec, s.mine, "launch")
			h.gone, s.w.hosts = false, append(s.w.hosts, h)
		}},
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.w.Sweep(s.spec) }},
	},
	plan.RemoveByHand: {
		spec: onMachines(3),
		befall: func(s *stage) {
			s.put(s.spec.MarkerName(), cluster.TXT)
			s.mine = &Store{}
		},
		also: []func(*stage){func(s *stage) { // up was tried first
			s.put(s.spec.MarkerName(), cluster.TXT)
			s.mine = &Store{}
			s.run("up", s.spec, s.mine)
		}, func(s *stage) { s.mine = &Store{} }}, // the marker says whose it is
		verb:   "destroy",
		follow: []func(*stage, []string){(*stage).removeByHand},
	},
	plan.UndoMember: {
		befall: func(s *stage) {
			s.first().process.of.add(&listed{id: 0xbad, name: "stranger", urls: []string{"https://stranger.c1.test:2380"}})
		},
		follow: []func(*stage, []string){func(s *stage, lines []string) {
			for _, line := range lines {
				s.w.Unlist(line)
			}
		}},
	},
	plan.UpdateMember: {
		befall: func(s *stage) {
			p := s.first().process
			p.self.urls = []string{"https://elsewhere.c1.test:2380"}
			p.of.relist()
		},
		follow: []func(*stage, []string){func(s *stage, lines []string) {
			p := s.first().process
			url := s.spec.PeerURL(s.first().Name, s.first().Ports.Peer)
			if want := fmt.Sprintf("put its peer URL back: pleiad etcdctl -- member update %s --peer-urls=%s", p.self.id, url); !slices.Contains(lines, want) {
				s.Fatalf("%q does not have %q", lines, want)
			}
			for _, line := range lines {
				s.w.Readdress(line)
			}
		}},
	},
	plan.RestartByHand: {
		spec:   func(spec *cluster.Spec) { spec.Members = 1 },
		befall: func(s *stage) { otherOptions(&s.spec) },
		follow: []func(*stage, []string){func(s *stage, lines []string) {
			for _, h := range s.w.rules.ours() {
				if lines[1] == fmt.Sprintf("kill %d && pleiad up", h.process.pid) {
					s.w.end(h, "terminated")
				}
			}
		}},
	},
	plan.SameMinor: {
		befall: func(s *stage) { s.w.programs.take(false); s.w.programs.now.Etcd = "3.8.0" },
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.w.programs.take(false) }},
	},
	plan.AgreeOlder: {
		befall: func(s *stage) {
			older := s.w.programs.now
			s.w.programs.take(false)
			s.reach("up")
			s.w.programs.now = older
		},
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.agrees = true }},
	},
	plan.FixStartup: {
		spec:   onMachines(3),
		befall: func(s *stage) { s.w.programs.take(true) },
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.w.programs.take(false) }},
	},
	plan.TryAgain: {
		spec:   onMachines(3),
		befall: func(s *stage) { s.w.programs.take(true) },
		follow: []func(*stage, []string){func(s *stage, lines []string) {
			clear(s.w.programs.broken) // what was wrong with the machine is repaired
			for _, h := range s.w.rules.ours() {
				if strings.HasSuffix(lines[1], " rm "+h.Paths.Failed()+" && pleiad up") && strings.Contains(lines[1], h.Address.String()) {
					h.failed = nil
				}
			}
		}},
	},
	plan.EndMember: {
		spec:   func(spec *cluster.Spec) { spec.TLS = false }, // else it has no certificate left to answer with
		befall: func(s *stage) { s.w.lose(s.first()); s.w.strays()[0].proven = false },
		verb:   "destroy",
		follow: []func(*stage, []string){func(s *stage, lines []string) {
			h := s.w.strays()[0]
			if !strings.HasSuffix(lines[0], fmt.Sprintf("pkill -f '/hosts/%s/config$'", h.Name)) {
				s.Errorf("%q does not end %s", lines, h.Name)
			}
			s.w.End(string(h.Name))
		}},
		end: func(s *stage) {
			s.reach("destroy")
			s.destroyed()
		},
	},
	plan.SetClocks: {
		spec: func(spec *cluster.Spec) { spec.Hosts.Local = nil },
		befall: func(s *stage) {
			for _, h := range s.w.rules.ours() {
				c := *h.certificate
				c.RenewAt = time.Now()
				h.certificate = &c
			}
			s.w.ahead.set(30 * 24 * time.Hour)
			s.w.tick()
		},
		follow: []func(*stage, []string){func(s *stage, _ []string) {
			s.w.ahead.set(0)
			s.w.tick()
		}},
	},
	plan.RegainQuorum: {
		befall: func(s *stage) {
			for _, h := range s.w.rules.ours()[1:] {
				s.moveData(h)
			}
		},
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.putDataBack() }},
	},
	plan.AddMachine: {
		spec: func(spec *cluster.Spec) {
			spec.Hosts = cluster.HostsSpec{SSH: &cluster.SSHHosts{Addresses: machines(1, 2, 3)}}
		},
		befall: func(*stage) {}, asked: func(spec *cluster.Spec) { spec.Members = 5 },
		follow: []func(*stage, []string){func(s *stage, _ []string) {
			s.spec.Members, s.spec.Hosts.SSH.Addresses = 5, machines(1, 2, 3, 4, 5)
		}},
	},
	plan.ReplaceLost: {
		spec:   onMachines(4),
		befall: func(s *stage) { s.lost = s.first(); s.w.end(s.lost, "power cut"); s.w.dark[s.lost.Address] = true },
		follow: []func(*stage, []string){func(s *stage, lines []string) {
			want := "if it is gone for good, say so: pleiad replace " + string(s.lost.Name)
			if !slices.Contains(lines, want) {
				s.Fatalf("%q does not have %q", lines, want)
			}
			s.reach("replace " + string(s.lost.Name))
			s.w.dark = map[netip.Addr]bool{} // it comes back
		}},
	},
	plan.FindWhy: {
		befall: func(s *stage) { s.dooms = true }, asked: func(spec *cluster.Spec) { spec.Members = 5 },
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.dooms, s.spec.Members = false, 5 }},
	},
	plan.MendRest: {
		befall: func(s *stage) {
			h := s.first()
			s.moveData(h)
			s.w.misplaced(h, s.kept[h])
			otherOptions(&s.spec)
		},
		follow: []func(*stage, []string){func(s *stage, _ []string) { s.putDataBack() }},
	},
}

// machines are addresses of machines.
func machines(last ...byte) []netip.Addr {
	var out []netip.Addr
	for _, b := range last {
		out = append(out, netip.AddrFrom4([4]byte{10, 5, 1, b}))
	}
	return out
}
