package member

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// joiner renders h as the member that joins the others with an ID.
func joiner(s cluster.Spec, id cluster.MemberID, h cluster.Host, others ...cluster.Host) node.Node {
	m := marker(cluster.Sealed)
	m.ID, m.Op = node.ClusterID(s, token, others), cluster.Operation{Kind: cluster.Add, Member: h.Name}
	m.IDs = map[cluster.MemberName]cluster.MemberID{h.Name: id}
	return node.Render(s, m, append([]cluster.Host{h}, others...), h, nobody)
}

// listOf is what etcd lists once the member of a node was added.
func listOf(n node.Node) List {
	l := List{Cluster: n.ID}
	for _, p := range n.Gate.Peers {
		m := cluster.Member{ID: 0xa1, Name: p.Name(), PeerURLs: []string{p.URL(scheme(n))}}
		if p.Name() == n.Name {
			m.ID, m.Name, m.Learner = n.Member, "", true
		}
		l.Members = append(l.Members, m)
	}
	return l
}

func own(n node.Node) func(cluster.Member) bool {
	p, _ := split(n)
	return func(m cluster.Member) bool { return slices.Contains(m.PeerURLs, p.URL(scheme(n))) }
}

// Rules R3 and R6: whom the peers of a joining member must list.
func TestCheckJoin(t *testing.T) {
	var hosts []cluster.Host
	for i, name := range []cluster.MemberName{"etcd-a", "etcd-b", "etcd-c"} {
		hosts = append(hosts, cluster.Host{Name: name, Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), Ports: cluster.StandardPorts(), Paths: cluster.Paths{Data: "/d"}})
	}
	n := joiner(spec(3), 0xadd, hosts[1], hosts[0], hosts[2])
	silent := func(why string) cluster.Seen[List] { return cluster.Unknown[List](why) }
	edited := func(edit func(l *List, self *cluster.Member)) cluster.Seen[List] {
		l := listOf(n)
		edit(&l, &l.Members[slices.IndexFunc(l.Members, own(n))])
		return cluster.Known(l)
	}
	right := cluster.Known(listOf(n))
	lagging := edited(func(l *List, _ *cluster.Member) { l.Members = slices.DeleteFunc(l.Members, own(n)) })
	for _, tt := range []struct {
		name    string
		a, c    cluster.Seen[List]
		want    []string
		refused string
	}{
		{name: "both list it", a: right, c: right},
		{name: "one is down", a: silent("connection refused"), c: right},
		{name: "both are down", a: silent("connection refused"), c: silent("no answer in time"),
			want: []string{"etcd-a does not answer: connection refused", "etcd-c does not answer: no answer in time"}},
		{name: "nobody was asked", want: []string{"etcd-a does not answer: it was not looked for", "etcd-c does not answer: it was not looked for"}},
		{name: "one lags", a: right, c: lagging, want: []string{"the list of etcd-c lacks http://etcd-b.dev.test:2380"}},
		{name: "one lags, the other is down", a: silent("connection refused"), c: lagging, want: []string{"the list of etcd-c lacks http://etcd-b.dev.test:2380"}},
		{name: "a member that has left", a: right, c: edited(func(l *List, _ *cluster.Member) {
			l.Members = append(l.Members, cluster.Member{ID: 0xa9, PeerURLs: []string{"http://etcd-z.dev.test:2380"}})
		}), want: []string{"the list of etcd-c has http://etcd-z.dev.test:2380, which is not expected"}},
		{name: "a member is missing", a: edited(func(l *List, _ *cluster.Member) { l.Members = l.Members[:2] }), c: right,
			want: []string{"the list of etcd-a lacks http://etcd-c.dev.test:2380"}},
		{name: "it is listed twice", a: right, c: edited(func(l *List, self *cluster.Member) { l.Members = append(l.Members, *self) }),
			want: []string{"the list of etcd-c has http://etcd-b.dev.test:2380, which is not expected"}},
		{name: "no list", a: cluster.Known(List{Cluster: n.ID}), c: right, want: []string{"the list of etcd-a lacks http://etcd-a.dev.test:2380",
			"the list of etcd-a lacks http://etcd-b.dev.test:2380", "the list of etcd-a lacks http://etcd-c.dev.test:2380"}},

		{name: "another cluster", a: right, c: edited(func(l *List, _ *cluster.Member) { l.Cluster = 0xc9 }),
			refused: "R3: etcd-c at 10.0.0.3 is in cluster c9, not " + n.ID.String()},
		{name: "another cluster, while the other lags", a: lagging, c: edited(func(l *List, _ *cluster.Member) { l.Cluster = 0xc9 }), refused: "R3: "},
		{name: "another ID", a: right, c: edited(func(_ *List, self *cluster.Member) { self.ID = 0xa9 }),
			refused: "R6: etcd-c lists http://etcd-b.dev.test:2380 as member a9, not add"},
		{name: "it has started before", a: right, c: edited(func(_ *List, self *cluster.Member) { self.Name = "etcd-b" }),
			refused: "R6: etcd-c lists member add as etcd-b: it has started before, but there is no data in /d"},
		{name: "it has started before, and one is down", a: edited(func(_ *List, self *cluster.Member) { self.Name = "etcd-b" }), c: silent("no answer in time"), refused: "R6: "},
		{name: "it is listed twice, and has started", a: right, c: edited(func(l *List, self *cluster.Member) {
			again := *self
			again.Name = "etcd-b"
			l.Members = append(l.Members, again)
		}), refused: "R6: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lists := map[cluster.MemberName]cluster.Seen[List]{}
			for name, seen := range map[cluster.MemberName]cluster.Seen[List]{"etcd-a": tt.a, "etcd-c": tt.c} {
				if seen.Tried() {
					lists[name] = seen
				}
			}
			before := maps.Clone(lists)
			wrong, err := CheckJoin(n, lists)
			if diff := cmp.Diff(tt.want, wrong); diff != "" {
				t.Error(diff)
			}
			var r *Refusal
			if refused := errors.As(err, &r); refused != (tt.refused != "") || refused && !strings.HasPrefix(err.Error(), tt.refused) {
				t.Errorf("refusal %v, want %q", err, tt.refused)
			}
			if !cmp.Equal(before, lists, cmp.AllowUnexported(cluster.Seen[List]{})) {
				t.Error("the lists were changed")
			}
		})
	}
}

// fakePeer answers on the peer port of a host, as etcd does: to members only.
type fakePeer struct {
	mu     sync.Mutex
	answer http.HandlerFunc
}

func (f *fakePeer) says(answer http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *fakePeer) lists(l List) { f.says(serve(l)) }

// serve writes a list as etcd does.
func serve(l List) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		type entry struct {
			ID         uint64   `json:"id"`
			PeerURLs   []string `json:"peerURLs"`
			IsLearner  bool     `json:"isLearner,omitempty"`
			Name       string   `json:"name,omitempty"`
			ClientURLs []string `json:"clientURLs,omitempty"`
		}
		var out []entry
		for _, m := range l.Members {
			out = append(out, entry{ID: uint64(m.ID), PeerURLs: m.PeerURLs, IsLearner: m.Learner, Name: string(m.Name)})
		}
		if r.URL.Path != "/members" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("X-Etcd-Cluster-ID", l.Cluster.String())
		_ = json.NewEncoder(w).Encode(out) // a client that went away asks again
	}
}

func newFakePeer(t *testing.T, k keys, s cluster.Spec, h cluster.Host) *fakePeer {
	t.Helper()
	creds := k.issue(t, node.Render(s, marker(cluster.Sealed), []cluster.Host{h}, h, nobody))
	pair, err := tls.X509KeyPair(creds.Peer.Cert, creds.Peer.Key)
	if err != nil {
		t.Fatal(err)
	}
	members := x509.NewCertPool()
	members.AppendCertsFromPEM(creds.PeerCA)
	f := &fakePeer{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		answer := f.answer
		f.mu.Unlock()
		answer(w, r)
	}))
	server.Listener.Close()
	if server.Listener, err = net.Listen("tcp", netip.AddrPortFrom(h.Address, h.Ports.Peer).String()); err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: members, ClientAuth: tls.RequireAndVerifyClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	return f
}

// The gate of a joining member asks real peers over TLS, waits for those that lag,
// and opens as soon as all is right. No name server knows any of them.
func TestWaitAtJoinGate(t *testing.T) {
	t.Parallel()
	s := spec(3)
	s.TLS = true
	k := newKeys(t, s.Cluster)
	a, b, c := newHost(t, "etcd-a"), newHost(t, "etcd-b"), newHost(t, "etcd-c")
	n := joiner(s, 0xadd, b, a, c)
	right := listOf(n)
	lagging := List{right.Cluster, slices.DeleteFunc(slices.Clone(right.Members), own(n))}
	var peer *fakePeer
	worlds := []struct {
		want string
		then func()
	}{
		{"R3: etcd-a does not answer: read credentials: ", func() { k.issue(t, n) }},
		{"R3: etcd-a does not answer: connect: connection refused; etcd-c does not answer: connect: connection refused", func() {
			peer = newFakePeer(t, k, s, a)
			peer.says(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("null")) })
		}},
		{"R3: etcd-a does not answer: it serves no list of members yet; ", func() { peer.lists(lagging) }},
		{"R3: the list of etcd-a lacks https://etcd-b.dev.test:" + fmt.Sprint(b.Ports.Peer), func() { peer.lists(right) }},
	}
	at := 0
	err := waitAtJoinGate(t.Context(), n, func(wrong string) error {
		if at == len(worlds) {
			t.Fatalf("told %q, want no more", wrong)
		}
		if !strings.HasPrefix(wrong, worlds[at].want) {
			t.Errorf("world %d: %q, want %q", at, wrong, worlds[at].want)
		}
		worlds[at].then()
		at++
		return nil
	})
	if err != nil || at != len(worlds) {
		t.Errorf("gate: %v after %d of %d worlds", err, at, len(worlds))
	}
}

// What a peer says that changes nothing by waiting ends the gate.
func TestJoinGateRefuses(t *testing.T) {
	t.Parallel()
	s := spec(2)
	s.TLS = true
	k := newKeys(t, s.Cluster)
	a, b := newHost(t, "etcd-a"), newHost(t, "etcd-b")
	n := joiner(s, 0xadd, b, a)
	k.issue(t, n)
	peer := newFakePeer(t, k, s, a)
	for _, tt := range []struct {
		says string
		edit func(l *List, self *cluster.Member)
	}{
		{"R3: etcd-a at " + a.Address.String() + " is in cluster c9", func(l *List, _ *cluster.Member) { l.Cluster = 0xc9 }},
		{" as member a9, not add", func(_ *List, self *cluster.Member) { self.ID = 0xa9 }},
		{"it has started before", func(_ *List, self *cluster.Member) { self.Name = "etcd-b" }},
		{"it has started before", func(_ *List, self *cluster.Member) { self.Name, self.Learner = "etcd-b", false }},
	} {
		l := listOf(n)
		tt.edit(&l, &l.Members[slices.IndexFunc(l.Members, own(n))])
		peer.lists(l)
		err := waitAtJoinGate(t.Context(), n, func(wrong string) error { return errors.New("told " + wrong) })
		var r *Refusal
		if !errors.As(err, &r) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("gate: %v, want a refusal that says %q", err, tt.says)
		}
	}
}

// A node that names no peers lets nobody join anything.
func TestNobodyToJoin(t *testing.T) {
	t.Parallel()
	n := joiner(spec(1), 0xadd, newHost(t, "etcd-b"))
	refused(t, n, "R3: etcd-b is to join a cluster, and member.json has no peers beside it")
	if _, err := os.Stat(n.Paths.Data); !os.IsNotExist(err) {
		t.Errorf("the data directory was touched: %v", err)
	}
}

// Whatever answers on a peer's port costs a joining member little, and is not
// taken for a list.
func TestJoinGateAtAStrangePeer(t *testing.T) {
	t.Parallel()
	s := spec(2)
	s.TLS = true
	k := newKeys(t, s.Cluster)
	a, b := newHost(t, "etcd-a"), newHost(t, "etcd-b")
	n := joiner(s, 0xadd, b, a)
	k.issue(t, n)
	peer := newFakePeer(t, k, s, a)
	ask := func() string {
		seen := askPeers(t.Context(), n)["etcd-a"]
		if seen.Known() {
			t.Errorf("taken for a list: %v", seen)
		}
		return seen.Why().Text
	}
	right := listOf(n)
	for want, answer := range map[string]http.HandlerFunc{
		"read its list of members: too long": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		},
		"asked for its list of members, it says 302 Found": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		},
		"asked for its list of members, it says 503 ": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
		},
		"read its list of members: invalid character": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"it serves no list of members yet":            serve(List{Cluster: 0, Members: right.Members}),
		"no answer in time":                           func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"EOF":                                         func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		peer.says(answer)
		if got := ask(); !strings.HasPrefix(got, want) {
			t.Errorf("the peer is %q, want %q", got, want)
		}
	}
	// One of another CA is not asked, and tells one of ours nothing.
	peer.lists(right)
	newKeys(t, s.Cluster).issue(t, n)
	if got := ask(); !strings.HasPrefix(got, "tls: failed to verify certificate: x509: ") {
		t.Errorf("a peer of another CA is %q", got)
	}
}

// A whole life with real etcds: a cluster of one founds itself, is sealed and gets
// a member, which DNS never knows: it finds the others by its pins, and the one
// that runs finds it by those that were delivered meanwhile (rule R9).
func TestJoin(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	two := spec(2)
	two.TLS = true
	b := newHost(t, "etcd-b")
	operator := s.operator(t).config(t)
	call := func(method, body string, out any) (int, error) {
		code, answer, err := post(t, operator, s.client+"/v3/cluster/member/"+method, body, nil)
		if err == nil && code == http.StatusOK {
			err = json.Unmarshal([]byte(answer), out)
		}
		return code, err
	}
	type listed struct {
		ID        string   `json:"ID"`
		Name      string   `json:"name"`
		PeerURLs  []string `json:"peerURLs"`
		IsLearner bool     `json:"isLearner"`
	}
	early := joiner(two, 0xadd, b, s.host)
	s.issue(t, early)
	install(t, early)
	waiting := launch(t, early)
	lacks := "R3: the list of etcd-a lacks https://etcd-b.dev.test:" + fmt.Sprint(b.Ports.Peer)
	until(t, "the gate to say what it waits for", func() bool { return waiting.inspect().Process.Gate == lacks })
	diffNode(t, "at the gate", cluster.Node{Installed: early.Digest(), Sealed: true, Made: early.Made(), Next: cluster.Startup{Flags: early.Flags()}, Certificate: waiting.inspect().Certificate,
		Process: cluster.Process{Running: true, PID: waiting.cmd.Process.Pid, Flags: early.Flags(), Program: ourselves(t), Gate: lacks}}, waiting.inspect())

	var added struct {
		Member listed `json:"member"`
	}
	code, err := call("add", fmt.Sprintf(`{"peerURLs": [%q], "isLearner": true}`, two.PeerURL(b.Name, b.Ports.Peer)), &added)
	if err != nil || code != http.StatusOK {
		t.Fatalf("add the member: %d, %v", code, err)
	}
	number, err := strconv.ParseUint(added.Member.ID, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if got := waiting.ended(); got.ExitStatus() != exitRefused {
		t.Errorf("with another ID: %v, want a refusal", got)
	}
	if p := waiting.inspect().Process; !strings.Contains(p.Exit, "not add") || p.Gate != "" {
		t.Errorf("with another ID: %+v", p)
	}

	n := joiner(two, cluster.MemberID(number), b, s.host)
	m := marker(cluster.Sealed)
	m.ID, m.Op, m.IDs = n.ID, cluster.Operation{Kind: cluster.Add, Member: b.Name}, map[cluster.MemberName]cluster.MemberID{b.Name: n.Member}
	install(t, node.Render(two, m, []cluster.Host{s.host, b}, s.host, s.node.Resolver))
	install(t, n)
	member := launch(t, n)
	started := func(learner bool) func() bool {
		return func() bool {
			var list struct {
				Members []listed `json:"members"`
			}
			_, err := call("list", "{}", &list)
			return err == nil && slices.ContainsFunc(list.Members, func(l listed) bool {
				return l.ID == added.Member.ID && l.Name == "etcd-b" && l.IsLearner == learner
			})
		}
	}
	until(t, "a started learner", started(true))
	if got, want := member.inspect().Data, (cluster.Data{Present: true, Born: true, Member: n.Member, Cluster: s.node.ID}); got != want {
		t.Errorf("it has %+v, want %+v", got, want)
	}
	until(t, "the first member to dial the new one", func() bool {
		b, err := os.ReadFile(s.node.Paths.Log)
		return err == nil && slices.ContainsFunc(strings.Split(string(b), "\n"), func(line string) bool {
			return strings.Contains(line, "established TCP streaming connection") && strings.Contains(line, "stream-reader-type") && strings.Contains(line, n.Member.String())
		})
	})
	until(t, "the learner to be promoted", func() bool {
		code, err := call("promote", fmt.Sprintf(`{"ID": %q}`, added.Member.ID), &struct{}{})
		return err == nil && code == http.StatusOK
	})
	until(t, "a voter", started(false))
	until(t, "health", member.healthy)

	lose := func(path string) {
		t.Helper()
		if err := os.Rename(path, path+".aside"); err != nil {
			t.Fatal(err)
		}
	}
	// Once it had data it is a member as any other, whatever its node says.
	member.signal(syscall.SIGKILL)
	member.ended()
	member = launch(t, n)
	until(t, "health after a restart", member.healthy)
	member.signal(syscall.SIGKILL)
	member.ended()
	lose(n.Paths.Data)
	refused(t, n, "R6: its data directory is empty but the member once had data")
	// Nor without its born file: its peers know that it has started.
	lose(bornPath(n.Paths.Data))
	refused(t, n, "R6: etcd-a lists member "+n.Member.String()+" as etcd-b: it has started before")
}
