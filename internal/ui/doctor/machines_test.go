package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

func at(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 5, 1, byte(i)}) }

// good is a machine on which nothing is wrong.
func good() agent.Machine {
	return agent.Machine{Occupied: cluster.Known([]agent.Listener(nil)), OS: "Debian GNU/Linux 12 (bookworm)", Arch: "amd64", Systemd: true, Resolvers: []string{"10.5.1.2"},
		Disk: cluster.Known(agent.Disk{Below: "/var/lib", Free: 80e9, Median: time.Millisecond, P99: 2 * time.Millisecond, Count: 100}),
		UDP:  cluster.Known("found"), TCP: cluster.Known("found"), Ahead: time.Millisecond, Margin: 2 * time.Millisecond}
}

// elsewhere is a cluster of machines, each as good as they come.
func elsewhere(members int, f fleet) (Subject, *probed) {
	s := foreign(&zone{})
	s.Spec.Domain, s.Spec.DNS.RFC2136.Zone, s.Spec.Members = "c1.dev.test", "dev.test", members
	s.Spec.Hosts = cluster.HostsSpec{SSH: &cluster.SSHHosts{}}
	for i := members; i > 0; i-- {
		s.Spec.Hosts.SSH.Addresses = append(s.Spec.Hosts.SSH.Addresses, at(i))
	}
	s.World.Hosts = f
	p := &probed{Machine: good()}
	s.Probe = p.probe
	return s, p
}

// probed answers every probe and keeps who was probed.
type probed struct {
	agent.Machine
	err error
	mu  sync.Mutex
	who map[netip.Addr]agent.Question
}

func (p *probed) probe(_ context.Context, a netip.Addr, q agent.Question) (agent.Machine, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.who == nil {
		p.who = map[netip.Addr]agent.Question{}
	}
	p.who[a] = q
	return p.Machine, p.err
}

// of are the findings on one machine.
func of(found []render.Finding, a netip.Addr) []render.Finding {
	var out []render.Finding
	for _, f := range found {
		if f.Host == a.String() {
			out = append(out, f)
		}
	}
	return out
}

// slowHosts are found after a while; who does not wait sees none of them.
type slowHosts struct {
	fleet
	after time.Duration
}

func (h slowHosts) List(ctx context.Context) (hosts.Listing, error) {
	select {
	case <-time.After(h.after):
		return h.fleet.List(ctx)
	case <-ctx.Done():
		return hosts.Listing{}, context.Cause(ctx)
	}
}

// A machine that is slow has as long as it takes until something is wrong with it, or
// as --timeout says.
func TestMachinesAreWaitedFor(t *testing.T) {
	for _, test := range []struct {
		after, patience time.Duration
		found           bool
	}{{20 * time.Second, 0, true}, {20 * time.Second, time.Second, true}, {40 * time.Second, 0, false}, {90 * time.Second, 2 * time.Minute, true}} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := elsewhere(3, fleet{places: []cluster.Place{{Address: at(1)}, {Address: at(2)}, {Address: at(3)}}})
			s.World.Hosts, s.Patience = slowHosts{s.World.Hosts.(fleet), test.after}, test.patience
			found := Examine(t.Context(), s).Findings
			if got := len(of(found, at(1))) > 1; got != test.found {
				t.Errorf("%+v: %+v", test, found)
			}
		})
	}
}

func TestMachines(t *testing.T) {
	s, p := elsewhere(3, fleet{list: []cluster.Host{{Name: "etcd-k3v9qd2", Address: at(1)}}, places: []cluster.Place{{Address: at(2)}, {Address: at(3)}}})
	found := machines(t.Context(), s)
	var checks []string
	for _, f := range found {
		if f.Grade != render.Fine {
			t.Errorf("%+v, want all well", f)
		}
		checks = append(checks, strings.TrimSpace(f.Host+" "+f.Check))
	}
	each := []string{"host", "system", "root", "clock", "ports", "disk space", "disk latency", "resolver"}
	wanted := []string{"answer size"}
	for i := range 3 {
		for _, check := range each {
			wanted = append(wanted, at(i+1).String()+" "+check)
		}
	}
	if got, want := strings.Join(checks, "\n"), strings.Join(wanted, "\n"); got != want {
		t.Errorf("checks\n%s\nwant\n%s", got, want)
	}
	want(t, of(found, at(1))[0], render.Fine, "host etcd-k3v9qd2 of this cluster")
	want(t, of(found, at(2))[0], render.Fine, "nothing is in the way")
	if q, want := p.who[at(2)], (agent.Question{Zone: "dev.test.", Ports: cluster.StandardPorts()}); q != want {
		t.Errorf("a free machine was asked %+v, want %+v", q, want)
	}
	if q := p.who[at(1)]; q.Address != at(1) {
		t.Errorf("a host was asked %+v, want its address in it", q)
	}
}

func TestMachinesUnseen(t *testing.T) {
	s, _ := elsewhere(3, fleet{err: errors.New("etcd-a is claimed on 10.5.1.1 and on 10.5.1.2")})
	found := machines(t.Context(), s)
	if len(found) != 1 {
		t.Fatalf("%+v, want one finding", found)
	}
	want(t, found[0], render.Broken, "claimed on")
}

// What stands in the way of reaching a machine, and that nobody goes further.
func TestReach(t *testing.T) {
	unknown := cluster.Place{Address: at(1), Unknown: "host 10.5.1.1: login denied", Remedy: []string{"let a key in: ssh-copy-id", "or name another user"}}
	for name, test := range map[string]struct {
		place   cluster.Place
		members int
		grade   render.Grade
		text    string
		remedy  string
	}{
		"denied":                {unknown, 2, render.Broken, "login denied", "let a key in: ssh-copy-id\nor name another user"},
		"silent":                {cluster.Place{Address: at(1), Unknown: "no answer within 2.5s"}, 2, render.Broken, "no answer", "pleiad doctor -v -f odd.yaml"},
		"another etcd":          {cluster.Place{Address: at(1), Taken: "an etcd runs, process 77"}, 2, render.Broken, "an etcd runs", "remove 10.5.1.1 from"},
		"another etcd, a spare": {cluster.Place{Address: at(1), Taken: "an etcd runs, process 77"}, 1, render.Warning, "an etcd runs", "remove 10.5.1.1 from"},
		"left out":              {cluster.Place{Address: at(9)}, 1, render.Broken, "not inspected", "again"},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := elsewhere(2, fleet{places: []cluster.Place{test.place, {Address: at(2)}}})
			s.Spec.Members = test.members
			found := of(machines(t.Context(), s), at(1))
			if len(found) != 1 {
				t.Fatalf("%+v, want one finding", found)
			}
			want(t, found[0], test.grade, test.text)
			if !strings.Contains(found[0].Remedy, test.remedy) {
				t.Errorf("remedy %q, want %q", found[0].Remedy, test.remedy)
			}
			if _, touched := p.who[at(1)]; touched || len(p.who) != 1 {
				t.Errorf("probed were %v, want the other machine alone", p.who)
			}
		})
	}
}

type remediable struct{ error }

func (remediable) Remedy() []string { return []string{"free 100 MB there", "or more"} }

func TestUnprobed(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		remedy string
	}{
		"a full disk":   {fmt.Errorf("probe 10.5.1.1: %w", remediable{errors.New("No space left on device")}), "free 100 MB there\nor more"},
		"another CPU":   {fmt.Errorf("probe 10.5.1.1: Linux on riscv64: %w", deliver.ErrUnsupported), "use a machine with Linux"},
		"anything else": {errors.New("probe 10.5.1.1: lost"), "pleiad doctor -v -f odd.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := elsewhere(1, fleet{places: []cluster.Place{{Address: at(1)}}})
			p.err = test.err
			found := of(machines(t.Context(), s), at(1))
			if len(found) != 2 {
				t.Fatalf("%+v, want two findings", found)
			}
			want(t, found[0], render.Fine, "reachable")
			want(t, found[1], render.Broken, test.err.Error())
			if !strings.Contains(found[1].Remedy, test.remedy) {
				t.Errorf("remedy %q, want %q", found[1].Remedy, test.remedy)
			}
		})
	}
}

// Each grade of each check on a machine.
func TestJudge(t *testing.T) {
	disk := func(edit func(*agent.Disk)) func(*agent.Machine) {
		return func(m *agent.Machine) { m.Disk.Edit(edit) }
	}
	clock := func(ahead, margin time.Duration) func(*agent.Machine) {
		return func(m *agent.Machine) { m.Ahead, m.Margin = ahead, margin }
	}
	for name, test := range map[string]struct {
		edit  func(*agent.Machine)
		check string
		grade render.Grade
		text  string
	}{
		"no systemd":       {func(m *agent.Machine) { m.Systemd = false }, "system", render.Broken, "without systemd"},
		"root at once":     {func(m *agent.Machine) { m.Root = 300 * time.Millisecond }, "root", render.Fine, "within 300ms"},
		"sudo is slow":     {func(m *agent.Machine) { m.Root = 10 * time.Second }, "root", render.Warning, "a root command takes 10s to start"},
		"clocks agree":     {clock(time.Millisecond, 2*time.Millisecond), "clock", render.Fine, "as this machine's, within 3ms"},
		"a clock is fast":  {clock(1900*time.Millisecond, time.Millisecond), "clock", render.Warning, "1.9s ahead of this machine's, give or take 1ms"},
		"a clock is slow":  {clock(-1900*time.Millisecond, time.Millisecond), "clock", render.Warning, "1.9s behind this machine's"},
		"a way is slow":    {clock(1900*time.Millisecond, time.Second), "clock", render.Fine, "give or take 1s"},
		"a clock is wrong": {clock(-time.Hour, time.Millisecond), "clock", render.Broken, "1h0m0s behind"},
		"five minutes":     {clock(5*time.Minute, 0), "clock", render.Warning, "5m0s ahead"},
		"ports taken": {func(m *agent.Machine) {
			m.Occupied = cluster.Known([]agent.Listener{{Address: netip.MustParseAddrPort("127.0.0.1:2381"), PID: 7, Program: "nginx"}})
		}, "ports", render.Broken, "127.0.0.1:2381 (nginx, process 7)"},
		"ports unknown":         {func(m *agent.Machine) { m.Occupied = cluster.Unknown[[]agent.Listener]("no /proc") }, "ports", render.Warning, "no /proc"},
		"somebody's account":    {func(m *agent.Machine) { m.Account = agent.Misfit{Why: "its shell is sh; odd", Remedy: "rename it"} }, "account", render.Broken, "its shell is sh; odd"},
		"a full disk":           {disk(func(d *agent.Disk) { d.Free = 199e6 }), "disk space", render.Broken, "199.0 MB are free below /var/lib"},
		"little space":          {disk(func(d *agent.Disk) { d.Free = 1999e6 }), "disk space", render.Warning, "2.0 GB"},
		"a slow disk":           {disk(func(d *agent.Disk) { d.P99 = 11 * time.Millisecond }), "disk latency", render.Warning, "p99 11ms; etcd wants less than 10ms"},
		"a disk just right":     {disk(func(d *agent.Disk) { d.P99 = 10 * time.Millisecond }), "disk latency", render.Fine, "p99 10ms"},
		"a broken disk":         {func(m *agent.Machine) { m.Disk = cluster.Unknown[agent.Disk]("input/output error") }, "disk", render.Broken, "input/output error"},
		"a silent resolver":     {func(m *agent.Machine) { m.UDP = cluster.Unknown[string]("no answer within 3s") }, "resolver", render.Broken, "10.5.1.2 gives no usable answer over UDP: no answer within 3s"},
		"an unknown zone":       {func(m *agent.Machine) { m.UDP, m.TCP = cluster.Known("absent"), cluster.Known("absent") }, "resolver", render.Broken, "does not know zone dev.test"},
		"no TCP":                {func(m *agent.Machine) { m.TCP = cluster.Unknown[string]("filtered") }, "resolver", render.Warning, "not over TCP (filtered); the member list takes 190 bytes"},
		"another word over TCP": {func(m *agent.Machine) { m.TCP = cluster.Known("absent") }, "resolver", render.Warning, "not over TCP (absent)"},
		"one of two is mute": {func(m *agent.Machine) { m.Resolvers, m.Mute = []string{"10.5.1.2", "10.5.1.3"}, []string{"10.5.1.2"} }, "resolver", render.Warning,
			"10.5.1.2 of 10.5.1.2, 10.5.1.3 does not answer, another one knows zone dev.test"},
		"no resolv.conf": {func(m *agent.Machine) { m.Resolvers = nil }, "resolver", render.Fine, "the resolver knows zone dev.test"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := elsewhere(3, fleet{})
			s.Spec.Domain = "c1.doc.test"
			m := good()
			test.edit(&m)
			found := judge(s, m)
			seen := 0
			for _, f := range found {
				if f.Check != test.check {
					want(t, f, render.Fine, "")
					continue
				}
				seen++
				want(t, f, test.grade, test.text)
			}
			if seen != 1 {
				t.Errorf("%+v, want %s once", found, test.check)
			}
		})
	}
}

// A data device that is not mounted yet says nothing of the disk that is there.
func TestDataDevice(t *testing.T) {
	s, _ := elsewhere(3, fleet{})
	s.Spec.Hosts.SSH.DataDevice = "/dev/vdb"
	d := agent.Disk{Below: "/var/lib", P99: time.Second, Count: 100}
	want(t, judgeDisk(s, d), render.Fine, "below /var/lib, since /dev/vdb is not mounted yet")
	d.Below = "/var/lib/pleiad/data"
	want(t, judgeDisk(s, d), render.Warning, "p99 1s")
}

// What a datagram holds, with and without TCP to help.
func TestAnswerSize(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 60)+".", 3) + "test"
	for name, test := range map[string]struct {
		domain         string
		members        int
		tcp            bool
		size, resolver render.Grade
	}{
		"small":            {"c1.dev.test", 3, true, render.Fine, render.Fine},
		"small, no TCP":    {"c1.dev.test", 3, false, render.Fine, render.Warning},
		"middling":         {long, 3, true, render.Fine, render.Fine},
		"middling, no TCP": {long, 3, false, render.Warning, render.Warning},
		"large":            {long, 9, true, render.Warning, render.Fine},
		"large, no TCP":    {long, 9, false, render.Warning, render.Broken},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := elsewhere(test.members, fleet{places: []cluster.Place{{Address: at(1)}}})
			s.Spec.Domain = test.domain
			if !test.tcp {
				p.TCP = cluster.Unknown[string]("filtered")
			}
			found := machines(t.Context(), s)
			want(t, found[0], test.size, "the SRV answer takes")
			on := of(found, at(1))
			want(t, on[len(on)-1], test.resolver, "knows zone dev.test")
		})
	}
}

// A machine that does not answer keeps no other from being inspected.
func TestMachinesAtOnce(t *testing.T) {
	s, p := elsewhere(3, fleet{places: []cluster.Place{{Address: at(1)}, {Address: at(2)}, {Address: at(3)}}})
	var all sync.WaitGroup
	all.Add(3)
	s.Probe = func(ctx context.Context, a netip.Addr, q agent.Question) (agent.Machine, error) {
		all.Done()
		all.Wait() // one after the other would never end
		return p.probe(ctx, a, q)
	}
	if found := machines(t.Context(), s); len(found) != 1+3*8 {
		t.Errorf("%+v, want all machines inspected", found)
	}
}
