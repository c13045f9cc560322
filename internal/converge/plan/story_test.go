package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/verify"
)

// TestStories runs the rule book: each file in testdata is a story that builds
// a state, line by line, and shows what is planned from it. Run with -rewrite
// to regenerate the outputs, and commit only a diff you can explain.
//
// Members are called by their last letter: a is etcd-aaaaaaa.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			w := story{spec: defaultSpec(), state: nothing()}
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
				out, err := w.run(d)
				if err != nil {
					d.Fatalf(t, "%v", err)
				}
				return out
			})
		})
	}
}

type story struct {
	spec  cluster.Spec
	state cluster.State
	// records are those that became unknown.
	records cluster.Seen[cluster.Records]
}

func defaultSpec() cluster.Spec {
	return cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 3, TLS: true,
		Hosts: cluster.HostsSpec{Local: &cluster.LocalHosts{}}, DNS: cluster.DNSSpec{Embedded: &cluster.EmbeddedDNS{}}}
}

func nothing() cluster.State {
	s := cluster.State{At: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Control: cluster.Known(cluster.Control{}), Server: cluster.Known(cluster.NameServer{Managed: true, Address: "127.9.9.1:5300"}),
		Records: cluster.Known(cluster.Records{}), Hosts: cluster.Known([]cluster.Host(nil)),
		Fresh: cluster.Fresh{Owner: "0wner", Token: "t0ken"}}
	for c := 'a'; c <= 'i'; c++ {
		s.Fresh.Members = append(s.Fresh.Members, member(string(c)))
	}
	return s
}

func member(letter string) cluster.MemberName {
	return cluster.MemberName("etcd-" + strings.Repeat(letter, 7))
}

func (w *story) run(d *datadriven.TestData) (string, error) {
	arg := func(i int) string {
		if i < len(d.CmdArgs) {
			return d.CmdArgs[i].Key
		}
		return ""
	}
	switch d.Cmd {
	case "fresh": // another cluster
		w.spec, w.state = defaultSpec(), nothing()
		return "", nil
	case "spec":
		return "", w.change(d.CmdArgs)
	case "up":
		return print(Up(w.spec, w.state)), nil
	case "destroy":
		return print(Destroy(w.spec, w.state)), nil
	case "road-up":
		return way(Road(Up, w.spec, w.state))
	case "destroy-but-data":
		return print(DestroyButData(w.spec, w.state)), nil
	case "road-destroy":
		return way(Road(Destroy, w.spec, w.state))
	case "walk-up":
		return "", w.walk(Up, arg(0))
	case "replace": // members that a person names
		return print(For(Wishes{Replaced: letters(d.CmdArgs)})(w.spec, w.state)), nil
	case "road-replace":
		return way(Road(For(Wishes{Replaced: letters(d.CmdArgs)}), w.spec, w.state))
	case "walk-replace":
		return "", w.walk(For(Wishes{Replaced: letters(d.CmdArgs)}), "")
	case "walk-replace-until": // a member, and a verb
		return "", w.walk(For(Wishes{Replaced: []cluster.MemberName{member(arg(0))}}), arg(1))
	case "road-older":
		return way(Road(For(Wishes{Older: true}), w.spec, w.state))
	case "walk-older":
		return "", w.walk(For(Wishes{Older: true}), arg(0))
	case "older": // a person agrees to an older program
		return print(For(Wishes{Older: true})(w.spec, w.state)), nil
	case "walk-destroy":
		return "", w.walk(Destroy, arg(0))
	case "nodes":
		var out []string
		for _, s := range Up(w.spec, w.state).Steps {
			if i, ok := s.(InstallNode); ok {
				out = append(out, fmt.Sprintf("%s: %d pins, resolver %q", i.Host.Name, len(i.Node.Pins), i.Node.Resolver))
			}
		}
		return strings.Join(out, "\n") + "\n", nil
	case "control":
		c := w.state.Control.Or(cluster.Control{})
		return fmt.Sprintf("owner %q, CA %q\n", c.Owner, c.CA), nil
	case "verify":
		return differences(verify.Check(w.spec, w.state)), nil
	case "see":
		return "", w.see(strings.Split(d.Input, "\n"))
	}
	return "", fmt.Errorf("no command %q", d.Cmd)
}

func letters(args []datadriven.CmdArg) []cluster.MemberName {
	var out []cluster.MemberName
	for _, a := range args {
		out = append(out, member(a.Key))
	}
	return out
}

func (w *story) change(args []datadriven.CmdArg) error {
	for _, a := range args {
		switch a.Key {
		case "members":
			n, err := strconv.Atoi(a.Vals[0])
			if err != nil {
				return err
			}
			w.spec.Members = n
		case "tls":
			w.spec.TLS = a.Vals[0] == "auto"
		case "hosts": // machines over SSH
			w.spec.Hosts = cluster.HostsSpec{SSH: &cluster.SSHHosts{}}
		case "cloud": // machines that are made at will
			w.spec.Hosts = cluster.HostsSpec{}
		case "dataDevice":
			w.spec.Hosts.SSH.DataDevice = a.Vals[0]
		case "user":
			w.spec.Hosts.SSH.User = a.Vals[0]
		case "port":
			n, err := strconv.ParseUint(a.Vals[0], 10, 16)
			if err != nil {
				return err
			}
			w.spec.Hosts.SSH.Port = uint16(n)
		case "dns": // somebody else's name server
			w.spec.DNS = cluster.DNSSpec{RFC2136: &cluster.RFC2136DNS{Server: "192.0.2.53", Zone: w.spec.Domain, KeyFile: "/etc/pleiad/tsig.key"}}
		case "ssh":
			w.spec.Hosts = cluster.HostsSpec{SSH: &cluster.SSHHosts{}}
			for _, v := range a.Vals {
				w.spec.Hosts.SSH.Addresses = append(w.spec.Hosts.SSH.Addresses, netip.MustParseAddr(v))
			}
		case "discoveryName":
			w.spec.DiscoveryName = a.Vals[0]
		case "option":
			w.spec.Etcd.Options = nil
			for _, o := range a.Vals {
				k, v, _ := strings.Cut(o, ":")
				w.spec.Etcd.Options = map[string]string{k: v}
			}
		default:
			return fmt.Errorf("no part of a spec: %q", a.Key)
		}
	}
	return nil
}

// walk goes on with predicted effects: n batches, or until the next batch
// begins with the given verb, or to the end.
func (w *story) walk(next Planner, until string) error {
	n, err := strconv.Atoi(until)
	if err != nil {
		n = limit
	}
	for range n {
		p := next(w.spec, w.state)
		if len(p.Steps) == 0 || strings.ReplaceAll(p.Steps[0].Verb(), " ", "-") == until {
			return nil
		}
		for _, s := range p.Steps {
			w.state = s.Effect(w.spec, w.state)
		}
	}
	return nil
}

// see changes what is observed, a line each.
func (w *story) see(lines []string) error {
	for _, line := range lines {
		if err := w.event(line, strings.Fields(line)); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
	}
	return nil
}

func (w *story) event(line string, f []string) error {
	host := func(change func(*cluster.Host)) { w.state = edit(w.state, member(f[0]), change) }
	node := func(change func(*cluster.Node)) { host(func(h *cluster.Host) { h.Node.Edit(change) }) }
	view := func(change func(*cluster.View)) { host(func(h *cluster.Host) { h.View.Edit(change) }) }
	control, server := w.state.Control.Edit, w.state.Server.Edit
	rest := func(n int) string { return strings.Join(f[n:], " ") }
	switch {
	case strings.HasPrefix(line, "records unknown"):
		w.records = w.state.Records
		w.state.Records = cluster.Unknown[cluster.Records](rest(2))
	case strings.HasPrefix(line, "records known again"):
		w.state.Records = w.records
	case strings.HasPrefix(line, "records denied"):
		w.state.Records = cluster.UnknownFor[cluster.Records](cluster.Why{Text: rest(2), Denied: true})
	case strings.HasPrefix(line, "records damaged"):
		w.state.Records = cluster.UnknownFor[cluster.Records](cluster.Why{Text: rest(2), Lasting: true, Remedy: []string{"put the file back"}})
	case strings.HasPrefix(line, "hosts unknown"):
		w.state.Hosts = cluster.Unknown[[]cluster.Host](rest(2))
	case strings.HasPrefix(line, "untraced"):
		w.state.Untraced = rest(1)
	case strings.HasPrefix(line, "all name servers agree"):
		w.state.Visibility = cluster.Known(cluster.Visibility{})
	case strings.HasPrefix(line, "server "):
		server := cluster.AuthoritativeServer{Name: f[1], Address: netip.MustParseAddr("192.0.2.53")}
		if f[2] == "unknown" {
			server.Unknown = rest(3)
		} else {
			server.Behind = []string{rest(2)}
		}
		w.state.Visibility = cluster.Known(cluster.Visibility{Servers: append(slices.Clone(w.state.Visibility.Or(cluster.Visibility{}).Servers), server)})
	case strings.HasPrefix(line, "place "):
		p := cluster.Place{Address: netip.MustParseAddr(f[1])}
		switch f[2] {
		case "taken":
			p.Taken = rest(3)
		case "unseen":
			p.Unknown = rest(3)
		case "closed":
			p.Unknown, p.Lasting, p.Remedy = rest(3), true, []string{"let pleiad in"}
		}
		w.state.Places = append(slices.DeleteFunc(slices.Clone(w.state.Places), func(q cluster.Place) bool { return q.Address == p.Address }), p)
	case strings.HasPrefix(line, "record "):
		set := cluster.NewRecordSet(f[1], cluster.RecordType(f[2]), strings.Split(rest(3), " | ")...)
		w.state.Records = cluster.Known(w.state.Records.Or(cluster.Records{}).With([]cluster.Change{{Key: set.Key, New: &set}}))
	case strings.HasPrefix(line, "marker "):
		return w.edit(f[1:])
	case strings.HasPrefix(line, "no record "):
		w.state.Records = cluster.Known(w.state.Records.Or(cluster.Records{}).With([]cluster.Change{{Key: cluster.Key{Name: f[2], Type: cluster.RecordType(f[3])}}}))
	case strings.HasPrefix(line, "owner "):
		control(func(c *cluster.Control) { c.Owner = cluster.Owner(strings.TrimPrefix(f[1], "none")) })
	case strings.HasPrefix(line, "CA "):
		control(func(c *cluster.Control) { c.CA = strings.TrimPrefix(f[1], "none") })
	case strings.HasPrefix(line, "keys unusable"):
		control(func(c *cluster.Control) { c.CA, c.Unusable, c.Remedy = "", rest(2), "restore the key" })
	case strings.HasPrefix(line, "state directory unreadable"):
		w.state.Control = cluster.Unknown[cluster.Control](rest(3))
	case strings.HasPrefix(line, "state directory readable"):
		w.state.Control = cluster.Known(cluster.Control{})
	case strings.HasPrefix(line, "state directory copied from "):
		control(func(c *cluster.Control) { c.Copy = "the state directory /copy/c1 is a copy of " + rest(4) })
	case strings.HasPrefix(line, "state directory original"):
		control(func(c *cluster.Control) { c.Copy = "" })
	case strings.HasPrefix(line, "name server at"):
		server(func(s *cluster.NameServer) { s.Address = rest(3) })
	case strings.HasPrefix(line, "name server unknown "):
		w.records = w.state.Records // a server that cannot be found cannot be asked
		w.state.Server, w.state.Records = cluster.Unknown[cluster.NameServer](rest(3)), cluster.Unknown[cluster.Records](rest(3))
	case strings.HasPrefix(line, "name server of somebody else"):
		w.state.Server = cluster.Known(cluster.NameServer{})
	case strings.HasPrefix(line, "operator's certificate is due"):
		control(func(c *cluster.Control) { c.Operator = &cluster.Certificate{RenewAt: w.state.At} })
	case strings.HasPrefix(line, "name server copied"):
		server(func(s *cluster.NameServer) { s.Running, s.Copy = false, "/dns is a copy" })
		w.state.Records = cluster.Unknown[cluster.Records]("/dns is a copy")
	case strings.HasPrefix(line, "name server "):
		server(func(s *cluster.NameServer) { s.Running, s.Copy = f[2] == "runs", "" })
	case strings.HasPrefix(line, "a year passes"):
		w.state.At = w.state.At.AddDate(1, 0, 0)
	case strings.HasPrefix(line, "nine months pass"):
		w.state.At = w.state.At.AddDate(0, 9, 0)
	case strings.HasPrefix(line, "a year goes back"):
		w.state.At = w.state.At.AddDate(-1, 0, 0)
	case strings.HasPrefix(line, "stray host "):
		stray := cluster.Host{Name: member(f[2]), Token: cluster.Token(f[3]), Address: netip.MustParseAddr("192.0.2.99"),
			Node: cluster.Known(cluster.Node{}), View: cluster.Unknown[cluster.View]("not running")}
		w.state.Hosts = cluster.Known(append(slices.Clone(w.state.Hosts.Or(nil)), stray))
	case len(f) < 2:
		return fmt.Errorf("no such event")
	case f[1] == "died":
		host(func(h *cluster.Host) {
			h.Node.Edit(func(n *cluster.Node) { n.Process = cluster.Process{Exit: rest(2)} })
			h.View = cluster.Unknown[cluster.View]("not running")
		})
	case f[1] == "copied":
		host(func(h *cluster.Host) {
			h.Copy = "its folder is a copy of the one that was made"
			h.Node.Edit(func(n *cluster.Node) { n.Process = cluster.Process{} })
			h.View = cluster.Unknown[cluster.View]("not running")
		})
	case f[1] == "wiped":
		node(func(n *cluster.Node) { n.Data = cluster.Data{Born: true} })
	case f[1] == "holds-foreign-data":
		node(func(n *cluster.Node) { n.Data = cluster.Data{Present: true, Born: true, Member: 1, Cluster: 2} })
	case f[1] == "holds-strange-data":
		node(func(n *cluster.Node) { n.Data = cluster.Data{Present: true, Member: 1, Cluster: 2} })
	case f[1] == "emptied":
		node(func(n *cluster.Node) { n.Data = cluster.Data{} })
	case f[1] == "of-incarnation":
		host(func(h *cluster.Host) { h.Token = cluster.Token(f[2]) })
	case f[1] == "runs-as":
		pid, err := strconv.Atoi(f[2])
		node(func(n *cluster.Node) { n.Process.PID = pid })
		return err
	case f[1] == "rolled-back":
		node(func(n *cluster.Node) {
			d := &n.Data
			d.Older, d.Reached, d.Ends = d.Present, cluster.Reach{Term: 3, Index: 25}, cluster.Reach{Term: 2, Index: 15}
		})
	case f[1] == "unreachable":
		host(func(h *cluster.Host) {
			h.Node = cluster.Unknown[cluster.Node](rest(2))
			h.View = cluster.Unknown[cluster.View](rest(2))
		})
	case f[1] == "damaged":
		host(func(h *cluster.Host) {
			h.Node = cluster.UnknownFor[cluster.Node](cluster.Why{Text: rest(2), Lasting: true, Remedy: []string{"write the claim again"}})
		})
	case f[1] == "half-installed":
		node(func(n *cluster.Node) { n.Installed, n.Sealed, n.Made = "", false, cluster.Made{} })
	case f[1] == "clock":
		skew, err := time.ParseDuration(f[2])
		host(func(h *cluster.Host) { h.Skew = skew })
		return err
	case f[1] == "uncertified":
		node(func(n *cluster.Node) { n.Certificate = nil })
	case f[1] == "certified": // from, until
		var c cluster.Certificate
		var errs [2]error
		c.NotBefore, errs[0] = time.Parse(time.DateOnly, f[2])
		c.NotAfter, errs[1] = time.Parse(time.DateOnly, f[3])
		c.RenewAt = c.NotAfter.AddDate(0, -4, 0)
		node(func(n *cluster.Node) { n.Certificate = &c })
		host(func(h *cluster.Host) { h.Shown = cluster.Known(c) })
		return errors.Join(errs[:]...)
	case f[1] == "shows-another":
		host(func(h *cluster.Host) {
			h.Shown = cluster.Known(cluster.Certificate{NotAfter: w.state.At.AddDate(0, 1, 0), RenewAt: w.state.At})
		})
	case f[1] == "unproven":
		host(func(h *cluster.Host) { h.Shown = cluster.Unknown[cluster.Certificate](rest(2)) })
	case f[1] == "unclaimed":
		w.state = TerminateHost{Host: cluster.Host{Name: member(f[0])}}.Effect(w.spec, w.state)
		w.state.Places = append(slices.Clone(w.state.Places), cluster.Place{Member: member(f[0]), Unknown: rest(2), Lasting: true, Remedy: []string{"put it back"}})
	case f[0] == "this" && f[1] == "is": // a pleiad: version, etcd
		for _, h := range w.state.Hosts.Or(nil) {
			w.state = edit(w.state, h.Name, func(h *cluster.Host) {
				h.Node.Edit(func(n *cluster.Node) { n.Offered = program(f[2], f[3]) })
			})
		}
	case f[0] == "members" && f[1] == "run":
		for _, h := range w.state.Hosts.Or(nil) {
			w.state = edit(w.state, h.Name, func(h *cluster.Host) {
				h.View.Edit(func(v *cluster.View) { v.Version = f[3] })
				h.Node.Edit(func(n *cluster.Node) { n.Process.Program, n.Next.Program = program(f[2], f[3]), program(f[2], f[3]) })
			})
		}
	case f[1] == "came-to-nothing": // its last start, and why
		node(func(n *cluster.Node) {
			n.Failed = &cluster.FailedStart{Startup: n.Next, Why: rest(2)}
			n.Process = cluster.Process{Exit: rest(2)}
		})
		host(func(h *cluster.Host) { h.View = cluster.Unknown[cluster.View]("not running") })
	case f[1] == "runs-another": // than its unit names, version and etcd
		node(func(n *cluster.Node) {
			n.Process.Program = program(f[2], f[3])
			n.Failed = &cluster.FailedStart{Startup: n.Next, Why: "it runs another program"}
		})
	case f[1] == "drifted":
		node(func(n *cluster.Node) { n.Drift = []string{rest(2)} })
	case f[1] == "astray":
		for _, h := range w.state.Hosts.Or(nil) {
			if h.Name == member(f[0]) {
				w.state = TerminateHost{Host: h}.Effect(w.spec, w.state)
				h.Node = cluster.Unknown[cluster.Node]("its host was not found")
				w.state.Missing = []cluster.Host{h}
			}
		}
	case f[1] == "traced": // after it was listed, and its folder was removed
		for _, h := range w.state.Hosts.Or(nil) {
			if h.Name == member(f[0]) {
				w.state.Missing = []cluster.Host{h}
			}
		}
	case f[1] == "runs": // as a process that is proven to be its own
		missing := w.state.Missing[0]
		missing.Node = cluster.Known(cluster.Node{Process: cluster.Process{Running: true, PID: 77}})
		missing.View = cluster.Unknown[cluster.View]("no certificate")
		w.state.Missing = []cluster.Host{missing}
	case f[1] == "answers":
		return w.answers(f[2])
	case f[1] == "pending": // and why
		host(func(h *cluster.Host) {
			h.Pending, h.Node, h.View = rest(2), cluster.Unknown[cluster.Node](rest(2)), cluster.Unknown[cluster.View]("not running")
		})
	case f[1] == "was-given-up": // and why
		w.state.GivenUp = append(w.state.GivenUp, cluster.GivenUp{Member: member(f[0]), Why: rest(2)})
	case f[1] == "gone":
		w.state = TerminateHost{Host: cluster.Host{Name: member(f[0])}}.Effect(w.spec, w.state)
	case f[1] == "waits":
		host(func(h *cluster.Host) {
			h.Node.Edit(func(n *cluster.Node) { n.Process.Gate = rest(2) })
			h.View = cluster.Unknown[cluster.View]("at its gate")
		})
	case f[1] == "returns": // after it was unreachable
		host(func(h *cluster.Host) {
			h.Node, h.View = cluster.Known(cluster.Node{Installed: "x", Sealed: true, Process: cluster.Process{Running: true}}), cluster.Unknown[cluster.View]("no answer within 2s")
		})
	case f[1] == "silent":
		host(func(h *cluster.Host) { h.View = cluster.Unknown[cluster.View]("no answer within 2s") })
	case f[1] == "in-cluster":
		id, err := strconv.ParseUint(f[2], 16, 64)
		view(func(v *cluster.View) { v.Cluster = cluster.ID(id) })
		return err
	case f[1] == "lists-also":
		view(func(v *cluster.View) {
			v.Members = append(slices.Clone(v.Members), cluster.Member{ID: 0xbad, Name: cluster.MemberName(f[2])})
		})
	case f[1] == "lists-learner": // a member that has not started
		w.state = withList(w.state, func(list []cluster.Member) []cluster.Member {
			return append(list, cluster.Member{ID: 0xbad, Learner: true, PeerURLs: []string{w.spec.PeerURL(cluster.MemberName(f[2]), 2380)}})
		})
	case f[1] == "lists-no-longer":
		view(func(v *cluster.View) {
			v.Members = slices.DeleteFunc(slices.Clone(v.Members), func(m cluster.Member) bool { return m.Name == member(f[2]) })
		})
	case f[1] == "lists-elsewhere": // a member, and its peer URL
		for _, h := range w.state.Hosts.Or(nil) {
			w.state = edit(w.state, h.Name, func(h *cluster.Host) {
				h.View.Edit(func(v *cluster.View) {
					v.Members = slices.Clone(v.Members)
					for i, m := range v.Members {
						if m.Name == member(f[2]) {
							v.Members[i].PeerURLs = []string{f[3]}
						}
					}
				})
			})
		}
	case f[1] == "lists-unnamed":
		view(func(v *cluster.View) {
			v.Members = slices.Clone(v.Members)
			for i, m := range v.Members {
				if m.Name == member(f[2]) {
					v.Members[i].Name = ""
				}
			}
		})
	case f[1] == "hears":
		var peers []cluster.MemberID
		for _, letter := range f[2:] {
			for _, h := range w.state.Hosts.Or(nil) {
				if h.Name == member(letter) {
					peers = append(peers, h.Node.Or(cluster.Node{}).Made.Member, cluster.BootstrapMemberID(w.spec.PeerURL(h.Name, h.Ports.Peer), h.Token))
				}
			}
		}
		host(func(h *cluster.Host) { h.Heard = cluster.Known(peers) })
	case f[1] == "knows-not-whom-it-hears":
		host(func(h *cluster.Host) { h.Heard = cluster.Unknown[[]cluster.MemberID](rest(2)) })
	case f[1] == "leaderless":
		view(func(v *cluster.View) { v.Leader = 0 })
	case f[1] == "has-run-for":
		d, err := time.ParseDuration(f[2])
		node(func(n *cluster.Node) { n.Process.Since = w.state.At.Add(-d) })
		return err
	case f[1] == "clock-says": // how long after it was started
		d, err := time.ParseDuration(f[2])
		node(func(n *cluster.Node) { n.Clock = n.Process.Since.Add(d) })
		return err
	case f[1] == "has-applied":
		index, err := strconv.ParseUint(f[2], 10, 64)
		view(func(v *cluster.View) { v.Applied = index })
		return err
	case f[1] == "learns":
		view(func(v *cluster.View) { v.Learner = true })
	case f[1] == "alarms":
		alarm := cluster.Alarm{Kind: f[2]}
		if len(f) > 3 {
			alarm.Member, alarm.Name = w.idOf(member(f[3])), member(f[3])
		}
		view(func(v *cluster.View) { v.Alarms = append(slices.Clone(v.Alarms), alarm) })
	case f[1] == "asks-for-a-user":
		host(func(h *cluster.Host) {
			h.View = cluster.UnknownFor[cluster.View](cluster.Why{Text: rest(2), Lasting: true})
		})
	case f[1] == "has-free":
		bytes, err := strconv.ParseInt(f[2], 10, 64)
		node(func(n *cluster.Node) { n.Free = &bytes })
		return err
	case f[1] == "has-bytes":
		n, err := strconv.ParseInt(f[2], 10, 64)
		view(func(v *cluster.View) { v.DBSize, v.Revision = n, 4711 })
		return err
	case f[1] == "stalled":
		view(func(v *cluster.View) { v.Stalled = rest(2) })
	default:
		return fmt.Errorf("no such event")
	}
	return nil
}

// idOf is the ID that a member has, zero if nobody of that name is seen.
func (w *story) idOf(name cluster.MemberName) cluster.MemberID {
	for _, h := range w.state.Hosts.Or(nil) {
		if h.Name == name {
			return h.View.Or(cluster.View{}).ID
		}
	}
	return 0
}

// program is a pleiad, as a build of its own.
func program(version, etcd string) cluster.Program {
	return cluster.Program{Version: version, Etcd: etcd, Build: "b" + version}
}

// answers says who answers where the one missing host was.
func (w *story) answers(who string) error {
	h := w.state.Missing[0]
	set, _ := w.state.Records.Or(cluster.Records{}).Get(w.spec.MarkerKey())
	m, err := cluster.ParseMarker(strings.Join(set.Values, ""))
	if err != nil {
		return err
	}
	v := cluster.View{ID: 1, Cluster: m.ID}
	if rest := w.state.Hosts.Or(nil); len(rest) > 0 {
		v.Members = rest[0].View.Or(cluster.View{}).Members
	}
	switch who {
	case "itself", "nothing":
	case "cluster":
		v.Cluster = 0xbad
	case "member":
		v.ID = w.state.Hosts.Or(nil)[0].View.Or(cluster.View{}).ID
	case "newborn":
		v.Members = []cluster.Member{{ID: v.ID}}
	default:
		return fmt.Errorf("nobody of that name: %q", who)
	}
	h.View = cluster.Known(v)
	if who == "nothing" {
		h.View = cluster.Unknown[cluster.View]("connection refused")
	}
	w.state.Missing = []cluster.Host{h}
	return nil
}

// edit changes fields of the marker; one without a value is taken away.
func (w *story) edit(fields []string) error {
	key := w.spec.MarkerKey()
	set, ok := w.state.Records.Or(cluster.Records{}).Get(key)
	if !ok {
		return fmt.Errorf("there is no marker")
	}
	text := strings.Fields(set.Values[0])
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		text = slices.DeleteFunc(text, func(have string) bool { return strings.HasPrefix(have, name+"=") })
		if value != "" {
			text = append(text, f)
		}
	}
	changed := cluster.NewRecordSet(key.Name, key.Type, strings.Join(text, " "))
	w.state.Records = cluster.Known(w.state.Records.Or(cluster.Records{}).With([]cluster.Change{{Key: key, New: &changed}}))
	return nil
}

func print(p Plan) string {
	if len(p.Steps)+len(p.Refusals) == 0 {
		return "nothing to do\n"
	}
	var b strings.Builder
	if len(p.Steps) > 1 {
		fmt.Fprintf(&b, "%s:\n", map[bool]string{true: "together", false: "in order"}[p.Together])
	}
	for _, s := range p.Steps {
		r := s.Because()
		fmt.Fprintf(&b, "%s %v\n    %s\n", String(s), r.Rules, r.Why)
		if r.Quorum != "" {
			fmt.Fprintf(&b, "    %s\n", r.Quorum)
		}
		if i, ok := s.(InstallNode); ok && i.Issue {
			fmt.Fprintf(&b, "    with a new certificate\n")
		}
		if c, ok := s.(ChangeRecords); ok {
			for _, change := range c.Changes {
				fmt.Fprintf(&b, "    | %s\n", change)
			}
		}
	}
	for _, r := range p.Refusals {
		fmt.Fprintf(&b, "refused by %s%s: %s\n", r.Rule, map[bool]string{true: ", until another look"}[r.Unknown], r.What)
		for _, e := range r.Evidence {
			fmt.Fprintf(&b, "    %s\n", e)
		}
		for _, m := range r.Remedy {
			fmt.Fprintf(&b, "    > %s\n", m)
		}
	}
	return b.String()
}

func differences(all []verify.Difference) string {
	if len(all) == 0 {
		return "spec and state agree\n"
	}
	var b strings.Builder
	for _, d := range all {
		fmt.Fprintln(&b, d)
	}
	return b.String()
}

func way(batches []Plan, err error) (string, error) { return road(batches), err }

func road(batches []Plan) string {
	var b strings.Builder
	for i, p := range batches {
		var steps []string
		for _, s := range p.Steps {
			steps = append(steps, String(s))
		}
		if steps != nil || p.Refusals == nil {
			fmt.Fprintf(&b, "%d. %s\n", i+1, strings.Join(steps, "; "))
		}
		for _, r := range p.Refusals {
			fmt.Fprintf(&b, "   refused by %s: %s\n", r.Rule, r.What)
		}
	}
	return b.String()
}
