package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

// ownerless refuses to act on hosts that no marker and nothing here says to be
// ours: a claim names a cluster, not its owner (rule R10). Neither up nor destroy
// can take them, so that the way out is to have the right state directory, or to
// do by hand what destroy would do; nil if this control side is an owner.
func (s situation) ownerless(rule Rule, what string) *Refusal {
	if s.control.Owner != "" || len(s.hosts) == 0 {
		return nil
	}
	r := &Refusal{Rule: rule, What: what, Remedy: remedies(OwnersDirectory),
		Evidence: []string{fmt.Sprintf("there is no marker on %s that says whose these hosts are, and this state directory is %s", s.spec.MarkerName(), ownerName(""))}}
	for _, h := range s.hosts {
		r.Evidence = append(r.Evidence, fmt.Sprintf("host %s at %s %s", h.Name, h.Address, life(h)))
	}
	r.Remedy = append(r.Remedy, s.takeDown(nil)...)
	return r
}

// withoutDirectory spells out how the cluster is removed by hand, where a refusal to
// destroy it says to look for that.
func (s situation) withoutDirectory(refusals []Refusal) []Refusal {
	for i, r := range refusals {
		at := slices.IndexFunc(r.Remedy, func(m Remedy) bool { return m.way == SeeTakeDown })
		if at < 0 {
			continue
		}
		m, _ := cluster.ReadMarker(*s.stored) // it was read before
		refusals[i].Remedy = slices.Concat(r.Remedy[:at], s.takeDown(m.Members), r.Remedy[at+1:])
	}
	return refusals
}

// takeDown is how a person removes the whole cluster of these members, as far as they
// are known, without the state directory that made it: the hosts, the records, and last
// the marker, as destroy does.
func (s situation) takeDown(members []cluster.MemberName) []Remedy {
	out := append([]string{"if that directory is lost for good and nobody needs the data, remove the cluster by hand:"}, s.removeHosts()...)
	for _, name := range members {
		if !slices.ContainsFunc(s.hosts, func(h cluster.Host) bool { return h.Name == name }) {
			out = append(out, fmt.Sprintf("the host of member %s was not found: stop the member there before its records go", name))
		}
	}
	sets := slices.DeleteFunc(slices.Clone(s.records.Sets), func(set cluster.RecordSet) bool { return set.Key == s.spec.MarkerKey() })
	if s.stored != nil {
		sets = append(sets, *s.stored)
	}
	for _, set := range sets {
		out = append(out, fmt.Sprintf("in DNS, unless others need it: delete %s %s", set.Name, set.Type))
	}
	if command := s.nsupdate(sets); command != "" {
		out = append(out, "or all of these records at once, "+command)
	}
	return append(RemoveByHand.lines(out...), RemoveByHand.form("then, for a new cluster: {up}"))
}

// removeHosts is how a person removes the hosts, a line each.
func (s situation) removeHosts() []string {
	var out []string
	for _, h := range s.hosts {
		if s.spec.OnMachines() {
			out = append(out, fmt.Sprintf("on %s, as root: %s", h.Address, node.RemoveByHand))
			continue
		}
		command := "rm -rf -- " + shell.Quote(path.Dir(h.Paths.Config))
		if pid := h.Node.Or(cluster.Node{}).Process.PID; pid > 0 {
			command = fmt.Sprintf("kill -9 %d; %s", pid, command)
		}
		out = append(out, fmt.Sprintf("here, host %s: %s", h.Name, command))
	}
	return out
}

// deletion is how a person removes values from DNS: the command where the name server
// takes updates by RFC 2136, else what to remove where its provider shows the zone.
func (s situation) deletion(sets []cluster.RecordSet) []Remedy {
	if len(sets) == 0 {
		return nil
	}
	if command := s.nsupdate(sets); command != "" {
		return DeleteValues.lines(command)
	}
	var out []string
	for _, set := range sets {
		for _, v := range set.Values {
			out = append(out, fmt.Sprintf("in %s, remove: %s %s %s", s.place(), set.Name, set.Type, v))
		}
	}
	return DeleteValues.lines(out...)
}

// nsupdate is the command that removes these values; empty where the name server takes
// no updates.
func (s situation) nsupdate(sets []cluster.RecordSet) string {
	server, zone, key := s.updates()
	if server == "" || len(sets) == 0 {
		return ""
	}
	lines := []string{"server " + server, "zone " + zone + "."}
	for _, set := range sets {
		for _, v := range set.Values {
			lines = append(lines, fmt.Sprintf("update delete %s %s %s", set.Name, set.Type, presented(set.Type, v)))
		}
	}
	return "with nsupdate: printf '%s\\n' " + shell.Line(append(lines, "send")...) + " | nsupdate -v -k " + shell.Quote(key)
}

// updates are where updates of the zone are sent, as nsupdate takes it, the zone
// without trailing dot, and the file with the key for them; empty where the name
// server takes none.
func (s situation) updates() (server, zone, keyFile string) {
	switch own := s.state.Server.Or(cluster.NameServer{}); {
	case s.spec.DNS.RFC2136 != nil:
		server, zone, keyFile = s.spec.DNS.RFC2136.Address(), s.spec.Zone(), s.spec.ZoneKeyFile()
	case s.spec.ServesZone() && own.Running:
		server, zone, keyFile = own.Address, s.spec.Zone(), own.KeyFile
	}
	i := strings.LastIndex(server, ":")
	if i < 0 || keyFile == "" {
		return "", "", ""
	}
	return strings.Trim(server[:i], "[]") + " " + server[i+1:], zone, keyFile
}

// place is where a person finds the records.
func (s situation) place() string {
	switch {
	case s.spec.DNS.Cloudflare != nil:
		return "the zone at Cloudflare"
	case s.spec.DNS.Route53 != nil:
		return "the hosted zone in Route 53"
	}
	return "DNS"
}

// presented is a value as it is written in a zone file. The text of a TXT record is cut
// into strings of 255 bytes, as pleiad writes it (RFC 1035, section 3.3).
func presented(kind cluster.RecordType, value string) string {
	if kind != cluster.TXT {
		return value
	}
	var out []string
	for text := []byte(value); ; {
		n := min(len(text), 255)
		out = append(out, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(text[:n]))+`"`)
		if text = text[n:]; len(text) == 0 {
			return strings.Join(out, " ")
		}
	}
}
