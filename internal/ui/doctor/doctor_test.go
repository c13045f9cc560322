package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/disk"
	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// zone is a name server that holds some records and answers with an error.
type zone struct {
	dns.Zone
	records  cluster.Records
	readErr  error
	applyErr error
	granted  func(cluster.Key) bool // nil for everything
	lax      bool                   // does not look at prerequisites

	mu      sync.Mutex
	applied []cluster.Change
}

func (z *zone) Read(context.Context, []cluster.Key) (cluster.Records, error) {
	return z.records, z.readErr
}

// Apply looks at rights first, as BIND and Knot do.
func (z *zone) Apply(_ context.Context, changes []cluster.Change) (dns.Receipt, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.applyErr != nil {
		return "", z.applyErr
	}
	for _, c := range changes {
		have, ok := z.records.Get(c.Key)
		switch {
		case z.granted != nil && !z.granted(c.Key):
			return "", dns.ErrDenied
		case !z.lax && (ok != (c.Old != nil) || ok && !have.Equal(*c.Old)):
			return "", dns.ErrConflict
		}
	}
	z.applied = append(z.applied, changes...)
	return "", nil
}

type server struct {
	dns.Server
	status cluster.NameServer
	err    error
}

func (s server) Status(context.Context) (cluster.NameServer, error) { return s.status, s.err }

type fleet struct {
	hosts.Provider
	list   []cluster.Host
	places []cluster.Place
	err    error
}

func (f fleet) List(context.Context) (hosts.Listing, error) {
	return hosts.Listing{Hosts: f.list, Places: f.places}, f.err
}

func local() Subject {
	return Subject{Command: func(arguments string) string { return "pleiad " + arguments + " -f odd.yaml" }, Spec: cluster.Spec{Cluster: "dev", Domain: "dev.test", Members: 3,
		Hosts: cluster.HostsSpec{Local: &cluster.LocalHosts{}}, DNS: cluster.DNSSpec{Embedded: &cluster.EmbeddedDNS{}}}}
}

func foreign(z *zone) Subject {
	s := local()
	s.Spec.DNS = cluster.DNSSpec{RFC2136: &cluster.RFC2136DNS{Server: "127.0.0.1:1", Zone: "dev.test", KeyFile: "/etc/tsig.key"}}
	s.World = world.World{DNS: dns.Guard(s.Spec, z)}
	s.Try = func(ctx context.Context, k cluster.Key) error { return dns.Try(ctx, z, k) }
	return s
}

// want checks a finding; whatever is not fine must have a remedy.
func want(t *testing.T, f render.Finding, grade render.Grade, text string) {
	t.Helper()
	if f.Grade != grade || !strings.Contains(f.Found, text) || f.Check == "" {
		t.Errorf("%+v, want %s with %q", f, grade, text)
	}
	if (f.Remedy == "") != (f.Grade == render.Fine) {
		t.Errorf("%+v: a remedy exactly where one is needed", f)
	}
}

func TestStateDirectory(t *testing.T) {
	s := local()
	s.Root = filepath.Join(t.TempDir(), "not", "yet")
	want(t, stateDirectory(context.Background(), s), render.Fine, "is writable")
	want(t, diskSpace(context.Background(), s), render.Fine, "free below")
	if f := diskLatency(context.Background(), s); !strings.Contains(f.Found, "100 appends of 2 kB made durable: median") {
		t.Errorf("%+v", f)
	}
	if entries, err := os.ReadDir(filepath.Dir(filepath.Dir(s.Root))); err != nil || len(entries) > 0 {
		t.Errorf("something stays behind: %v, %v", entries, err)
	}
	s.Unusable = &statedir.Error{Path: "home.json", Problem: "version 999", Hint: "use that one"}
	want(t, stateDirectory(context.Background(), s), render.Broken, "home.json: version 999")
	s.Unusable.Hint, s.Unusable.Run = "take it", "take-over"
	if f := stateDirectory(context.Background(), s); f.Remedy != "take it: pleiad take-over -f odd.yaml" {
		t.Errorf("%+v", f)
	}
	s.Unusable.Hint, s.Unusable.Run = "", ""
	want(t, stateDirectory(context.Background(), s), render.Broken, "home.json: version 999")
	s.Unusable = nil
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Root = filepath.Join(file, "pleiad")
	want(t, stateDirectory(context.Background(), s), render.Broken, "file")
	want(t, diskLatency(context.Background(), s), render.Broken, "file")
}

func TestDiskGrades(t *testing.T) {
	for free, grade := range map[int64]render.Grade{0: render.Broken, 599e6: render.Broken, 600e6: render.Warning, 5.9e9: render.Warning, 6e9: render.Fine} {
		if got := gradeSpace(free, 3); got != grade {
			t.Errorf("%d bytes for 3 members are %s, want %s", free, got, grade)
		}
	}
	var took []time.Duration
	for i := range 100 {
		took = append(took, time.Duration(100-i)*time.Millisecond)
	}
	if disk.Percentile(took, 99) != 99*time.Millisecond || disk.Percentile(took, 50) != 50*time.Millisecond || disk.Percentile(took[:1], 99) != 100*time.Millisecond {
		t.Errorf("p99 %s, p50 %s, p99 of one %s", disk.Percentile(took, 99), disk.Percentile(took, 50), disk.Percentile(took[:1], 99))
	}
	want(t, judgeLatency(took), render.Warning, "p99 99ms")
	want(t, judgeLatency([]time.Duration{time.Millisecond}), render.Fine, "p99 1ms")
}

func TestDiskLatencyEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := local()
	s.Root = t.TempDir()
	want(t, diskLatency(ctx, s), render.Broken, "canceled")
}

func TestClock(t *testing.T) {
	s := local()
	s.Root = t.TempDir()
	want(t, clock(context.Background(), s), render.Fine, "T")
	home := filepath.Join(s.Root, "dev", "home.json")
	if err := os.Mkdir(filepath.Dir(home), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(home, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(home, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	want(t, clock(context.Background(), s), render.Broken, "files in the state directory are from")
}

func TestAddresses(t *testing.T) {
	s := local()
	s.Block = netip.MustParsePrefix("127.93.17.0/29") // 2 to 7 are for hosts
	s.World.Hosts = fleet{}
	want(t, addresses(context.Background(), s), render.Fine, "3 of 3 needed are free in 127.93.17.0/29, from 127.93.17.2")
	for i := 2; i < 7; i++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.93.17.%d:2380", i))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	want(t, addresses(context.Background(), s), render.Warning, "1 of 3 needed are free in 127.93.17.0/29, 5 are taken")
	s.World.Hosts = fleet{list: make([]cluster.Host, 3)}
	want(t, addresses(context.Background(), s), render.Fine, "all 3 hosts have theirs")
	s.World.Hosts = fleet{err: errors.New("permission denied")}
	want(t, addresses(context.Background(), s), render.Broken, "permission denied")
	s.World.Hosts = fleet{}
	s.Block = netip.MustParsePrefix("192.0.2.0/24") // of no machine (RFC 5737)
	want(t, addresses(context.Background(), s), render.Fine, "members share 127.0.0.1")
}

func TestEmbeddedAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.93.18.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := netip.MustParseAddrPort(l.Addr().String())
	s := local()
	s.Server = taken
	s.World.Server = server{}
	want(t, embeddedAddress(context.Background(), s), render.Broken, "address already in use")
	s.World.Server = server{status: cluster.NameServer{Running: true, Address: taken.String()}}
	want(t, embeddedAddress(context.Background(), s), render.Fine, "runs at "+taken.String())
	s.World.Server = server{err: errors.New("damaged")}
	want(t, embeddedAddress(context.Background(), s), render.Broken, "damaged")
	if err := processtest.Close(l); err != nil {
		t.Fatal(err)
	}
	s.World.Server = server{status: cluster.NameServer{Address: taken.String()}}
	s.Server = netip.AddrPort{}
	want(t, embeddedAddress(context.Background(), s), render.Fine, "can listen at "+taken.String())
	s.World.Server, s.Server = server{}, netip.MustParseAddrPort("127.0.0.1:5300")
	want(t, embeddedAddress(context.Background(), s), render.Fine, "takes a free port")
}

func TestNameServer(t *testing.T) {
	marker := cluster.NewRecordSet("_pleiad.dev.test.", cluster.TXT, "v=1")
	for name, test := range map[string]struct {
		zone       *zone
		reach, key render.Grade
		text       string // of the key
	}{
		"all well":         {&zone{}, render.Fine, render.Fine, "accepted"},
		"a marker exists":  {&zone{records: cluster.Records{Sets: []cluster.RecordSet{marker}}}, render.Fine, render.Fine, "accepted"},
		"moved meanwhile":  {&zone{applyErr: dns.ErrConflict}, render.Fine, render.Fine, "accepted"},
		"refused":          {&zone{applyErr: dns.ErrDenied}, render.Fine, render.Broken, "refused"},
		"prerequisites":    {&zone{lax: true}, render.Fine, render.Broken, "does not look at the conditions"},
		"reads refused":    {&zone{readErr: dns.ErrDenied, applyErr: dns.ErrDenied}, render.Broken, render.Broken, "refused"},
		"nobody there":     {&zone{readErr: dns.ErrUnreachable, applyErr: dns.ErrUnreachable}, render.Broken, render.Broken, "unknown"},
		"no answer to ask": {&zone{applyErr: dns.ErrUnknownOutcome}, render.Fine, render.Broken, "no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			s := foreign(test.zone)
			if f := nameServerAnswers(context.Background(), s); f.Grade != test.reach {
				t.Errorf("reach: %+v, want %s", f, test.reach)
			}
			found := rights(context.Background(), s)
			want(t, found[0], test.key, test.text)
			if enough := len(found) == 3; enough != (test.key == render.Fine) {
				t.Errorf("%+v, want the rights of a key exactly where it is taken", found)
			}
			if len(test.zone.applied) > 0 && !test.zone.lax {
				t.Errorf("doctor changes something: %v", test.zone.applied)
			}
		})
	}
}

func TestResolver(t *testing.T) {
	s := foreign(&zone{})
	silent, err := net.ListenPacket("udp", "127.0.0.1:0") // nobody answers here
	if err != nil {
		t.Fatal(err)
	}
	s.Resolver = silent.LocalAddr().String()
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, resolverAnswers(context.Background(), s), render.Broken, "no usable answer")
}

func TestExamine(t *testing.T) {
	s := local()
	s.Root = t.TempDir()
	s.Block = netip.MustParsePrefix("127.93.19.0/24")
	s.Server = netip.MustParseAddrPort("127.93.19.1:5300")
	s.World = world.World{Hosts: fleet{}, Server: server{}, DNS: &zone{}}
	all := Examine(context.Background(), s)
	var names []string
	for _, f := range all.Findings {
		names = append(names, f.Check)
	}
	if got, wanted := strings.Join(names, ", "), "state directory, disk space, disk latency, clock, open files, addresses, name server"; got != wanted {
		t.Errorf("checks %s, want %s", got, wanted)
	}
	s, _ = elsewhere(1, fleet{places: []cluster.Place{{Address: at(1)}}})
	s.Root, s.Authoritatives, s.Here = t.TempDir(), servers{}, resolver(t, "dev.test. NS ns.dev.test.")
	names = nil
	for _, f := range Examine(context.Background(), s).Findings {
		names = append(names, f.Check)
	}
	if got, wanted := strings.Join(names, ", "), "state directory, clock, name server, key file, TSIG key, update right, excess rights, authoritatives, resolver here, "+
		"answer size, host, system, root, clock, ports, disk space, disk latency, resolver"; got != wanted {
		t.Errorf("checks %s, want %s", got, wanted)
	}
	for _, test := range []struct {
		grades []render.Grade
		want   render.Grade
	}{
		{[]render.Grade{render.Fine, render.Fine}, render.Fine},
		{[]render.Grade{render.Fine, render.Warning, render.Fine}, render.Warning},
		{[]render.Grade{render.Warning, render.Broken, render.Fine}, render.Broken},
	} {
		var found []render.Finding
		for _, g := range test.grades {
			found = append(found, render.Finding{Grade: g})
		}
		if got := worst(found); got != test.want {
			t.Errorf("the worst of %v is %s, want %s", test.grades, got, test.want)
		}
	}
}
