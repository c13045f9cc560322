package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

// machines looks at all machines at once, from here and from there. One that is
// somebody else's is not inspected further: that would take a probe onto it
// (rule R10).
func machines(ctx context.Context, s Subject) []render.Finding {
	looking, cancel := context.WithTimeoutCause(ctx, s.patience(), fmt.Errorf("no answer within %s", s.patience()))
	defer cancel()
	list, err := s.World.Hosts.List(looking)
	if err != nil {
		return []render.Finding{broken("hosts", err, "run the command again once every machine can be read, or see what was asked, with: "+s.Command("doctor -v"))}
	}
	usable := len(list.Hosts)
	for _, p := range list.Places {
		if p.Free() {
			usable++
		}
	}
	addresses := slices.SortedFunc(slices.Values(s.Spec.Machines()), netip.Addr.Compare)
	found := make([][]render.Finding, len(addresses))
	probes := make([]*agent.Machine, len(addresses))
	var all sync.WaitGroup
	for i, addr := range addresses {
		reached, free := reach(s, list.Hosts, list.Places, addr, usable < s.Spec.Members)
		found[i] = []render.Finding{reached}
		q := agent.Question{Zone: asked(s), Ports: cluster.StandardPorts()}
		if s.Spec.Chef != nil {
			q.Client = s.Spec.Chef.Command()
		}
		hosts := slices.ContainsFunc(list.Hosts, func(h cluster.Host) bool { return h.Address == addr })
		if hosts {
			q.Address = addr
		}
		if free || hosts {
			all.Go(func() {
				m, err := s.Probe(ctx, addr, q)
				if err != nil {
					found[i] = append(found[i], unprobed(s, err))
					return
				}
				probes[i] = &m
				found[i] = append(found[i], judge(s, m)...)
			})
		}
	}
	all.Wait()
	out := []render.Finding{answerSize(s, probes)}
	for i, addr := range addresses {
		for _, f := range found[i] {
			f.Host = addr.String()
			out = append(out, f)
		}
	}
	return out
}

// asked is the zone that a machine's resolver is asked about: never a name of
// ours, which it would remember as missing, and the root where the zone's name is
// not known.
func asked(s Subject) string {
	if s.Spec.FindsZone() {
		return "."
	}
	return s.Spec.Zone() + "."
}

// reach says what is at an address, and whether it is free for a host. scarce
// says that no machine can be done without.
func reach(s Subject, list []cluster.Host, places []cluster.Place, addr netip.Addr, scarce bool) (f render.Finding, free bool) {
	out := render.Finding{Check: "host", Grade: render.Fine, Found: "reachable, its key is known, root access works; nothing is in the way"}
	if i := slices.IndexFunc(list, func(h cluster.Host) bool { return h.Address == addr }); i >= 0 {
		out.Found = fmt.Sprintf("reachable, its key is known, root access works; it is host %s of this cluster", list[i].Name)
		return out, false
	}
	i := slices.IndexFunc(places, func(p cluster.Place) bool { return p.Address == addr })
	switch {
	case i < 0:
		out.Grade, out.Found, out.Remedy = render.Broken, "it was not inspected", "run the command again"
	case places[i].Unknown != "":
		out.Grade, out.Found = render.Broken, places[i].Unknown
		out.Remedy = strings.Join(places[i].Remedy, "\n")
		if out.Remedy == "" {
			out.Remedy = "see what was asked of it, with: " + s.Command("doctor -v")
		}
	case places[i].Taken != "":
		out.Grade, out.Found = render.Warning, "it is in use by something else and is left alone:  "+places[i].Taken
		out.Remedy = fmt.Sprintf("remove %s from hosts.ssh.addresses, or remove what is on it; see who listens, with: ss -lntp", addr)
		if scarce {
			out.Grade = render.Broken
		}
	default:
		return out, true
	}
	return out, false
}

// unprobed is the finding on a machine that could not be measured.
func unprobed(s Subject, err error) render.Finding {
	remedy := "run the command again, or see what was asked of it, with: " + s.Command("doctor -v")
	switch known := fault.Remedy(err); {
	case len(known) > 0:
		remedy = strings.Join(known, "\n")
	case errors.Is(err, fault.Unsupported):
		remedy = "use a machine with Linux on amd64 or arm64, and systemd; name a pleiad for another architecture under hosts.ssh.binaries"
	}
	return broken("system", err, remedy)
}

func broken(check string, err error, remedy string) render.Finding {
	return render.Finding{Check: check, Grade: render.Broken, Found: err.Error(), Remedy: remedy}
}

// judge grades what was found out about a machine.
func judge(s Subject, m agent.Machine) []render.Finding {
	out := []render.Finding{judgeSystem(m), judgeRoot(m), judgeClock(m), judgePorts(m)}
	if s.Spec.Chef != nil {
		out = append(out, judgeChef(*s.Spec.Chef, m.Client))
	}
	if bad := m.Account; bad != (agent.Misfit{}) {
		out = append(out, render.Finding{Check: "account", Grade: render.Broken, Found: bad.Why, Remedy: bad.Remedy})
	}
	disk, known := m.Disk.Get()
	if !known {
		return append(out, render.Finding{Check: "disk", Grade: render.Broken, Found: m.Disk.Why().Text, Remedy: "see what is wrong with the disk there, with: dmesg; df -h " + node.StateFolder}, judgeResolver(s, m))
	}
	return append(out, judgeSpace(disk), judgeDisk(s, disk), judgeResolver(s, m))
}

func judgeSystem(m agent.Machine) render.Finding {
	out := render.Finding{Check: "system", Grade: render.Fine, Found: fmt.Sprintf("%s on %s, systemd", m.OS, m.Arch)}
	if !m.Systemd {
		out.Grade, out.Found, out.Remedy = render.Broken, fmt.Sprintf("%s on %s, without systemd", m.OS, m.Arch), "use a machine that was booted with systemd"
	}
	return out
}

// Clocks that are further apart: certificates are not valid yet where they are
// needed, and logs cannot be read side by side; and TSIG, where the same NTP
// keeps name servers right, fails (RFC 8945 recommends five minutes).
const (
	apartABit = time.Second
	apart     = 5 * time.Minute
)

// slowRoot is when a look at a cluster begins to suffer: status gives a machine
// 2.5 s to be found, of which the connection takes its part.
const slowRoot = time.Second

// judgeRoot grades how long it takes to become root, which every look begins
// with. sudo asks for the machine's own name; where that is left to a name
// server that does not answer, it takes 10 s or more.
func judgeRoot(m agent.Machine) render.Finding {
	out := render.Finding{Check: "root", Grade: render.Fine, Found: "a root command starts within " + short(m.Root)}
	if m.Root > slowRoot {
		out.Grade, out.Found = render.Warning, fmt.Sprintf("a root command takes %s to start: status may show the host as unknown", short(m.Root))
		out.Remedy = "check there whether it is sudo: time sudo -n true\nif so, put the machine's own name into its /etc/hosts: echo \"127.0.1.1 $(hostname)\" | sudo tee -a /etc/hosts\nelse see what takes so long in the start files of the login shell"
	}
	return out
}

func judgeClock(m agent.Machine) render.Finding {
	word, by := "ahead of", m.Ahead
	if by < 0 {
		word, by = "behind", -by
	}
	out := render.Finding{Check: "clock", Grade: render.Fine}
	out.Found = fmt.Sprintf("%s %s this machine's, give or take %s", short(by), word, short(m.Margin))
	if by <= m.Margin {
		out.Found = "as this machine's, within " + short(by+m.Margin)
	}
	switch sure := by - m.Margin; {
	case sure > apart:
		out.Grade = render.Broken
	case sure > apartABit:
		out.Grade = render.Warning
	}
	if out.Grade != render.Fine {
		out.Remedy = "let NTP synchronize both clocks; check there and here: timedatectl"
	}
	return out
}

// short is a duration with as many digits as say something.
func short(d time.Duration) string {
	if d < time.Second {
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

func judgePorts(m agent.Machine) render.Finding {
	out := render.Finding{Check: "ports", Grade: render.Fine, Found: "2379 to 2381 are free or used by the member"}
	occupied, known := m.Occupied.Get()
	if !known {
		out.Grade, out.Found, out.Remedy = render.Warning, m.Occupied.Why().Text, "see who listens there, with: ss -lntp"
		return out
	}
	var taken []string
	for _, l := range occupied {
		taken = append(taken, l.String())
	}
	if len(taken) > 0 {
		out.Grade, out.Found = render.Broken, "another process listens on "+strings.Join(taken, ", ")
		out.Remedy = "stop it, or move it to another port; see there: ss -lntp"
	}
	return out
}

func judgeSpace(d agent.Disk) render.Finding {
	out := render.Finding{Check: "disk space", Grade: gradeSpace(d.Free, 1), Found: fmt.Sprintf("%s are free below %s", render.Size(d.Free), d.Below)}
	if out.Grade != render.Fine {
		out.Remedy = fmt.Sprintf("free some there: %s are needed, %s let the database grow", render.Size(leastPerMember), render.Size(easyPerMember))
	}
	return out
}

func judgeDisk(s Subject, d agent.Disk) render.Finding {
	out := gradeLatency(d.Count, d.Median, d.P99)
	if out.Grade != render.Fine {
		out.Remedy = "put " + node.StateFolder + " on a faster disk (hosts.ssh.dataDevice), else leaders will change under load"
	}
	if device := s.Spec.DataDevice(); device != "" && d.Below != node.MachinePaths().Data {
		out.Grade, out.Remedy = render.Fine, ""
		out.Found += fmt.Sprintf("; below %s, since %s is not mounted yet", d.Below, device)
	}
	return out
}
