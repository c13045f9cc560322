package doctor

import (
	"fmt"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// judgeResolver grades a machine's resolver: it must know the zone, or the start
// gate there never opens (rule R3), and should do so over TCP.
func judgeResolver(s Subject, m agent.Machine) render.Finding {
	zone := s.Spec.Zone()
	who := "the resolver"
	if len(m.Resolvers) > 0 {
		who = strings.Join(m.Resolvers, ", ")
	}
	out := render.Finding{Check: "resolver", Grade: render.Fine, Found: fmt.Sprintf("%s knows zone %s, over UDP and TCP", who, zone)}
	udp, answered := m.UDP.Get()
	tcp, _ := m.TCP.Get()
	if s.Spec.FindsZone() {
		out.Grade, out.Found, out.Remedy = render.Warning, "unknown: which zone holds the domain is not known", "make the name server reachable first"
		return out
	}
	switch size := dns.AnswerSize(predicted(s.Spec)); {
	case !answered:
		out.Grade, out.Found = render.Broken, fmt.Sprintf("%s gives no usable answer over UDP: %s", who, m.UDP.Why())
		out.Remedy = "name a resolver that answers in /etc/resolv.conf there; try it there, with: getent hosts " + s.Spec.Domain
	case udp != found:
		out.Grade, out.Found = render.Broken, fmt.Sprintf("%s does not know zone %s: the start gate would never open", who, zone)
		out.Remedy = "delegate the zone in its parent, or let that resolver forward it to the zone's name server\n" +
			"then wait until its cached answer expires: the negative TTL of the parent's SOA"
	case tcp != found && size > dns.SafeDatagram:
		out.Grade, out.Found = render.Broken, fmt.Sprintf("%s knows zone %s, but not over TCP (%s), which the member list needs: its answer takes %d bytes", who, zone, why(m.TCP), size)
		out.Remedy = tcpRemedy
	case tcp != found:
		out.Grade, out.Found = render.Warning, fmt.Sprintf("%s knows zone %s, but not over TCP (%s); the member list takes %d bytes", who, zone, why(m.TCP), size)
		out.Remedy = tcpRemedy
	case len(m.Mute) > 0:
		out.Grade, out.Found = render.Warning, fmt.Sprintf("%s of %s does not answer, another one knows zone %s: whoever looks something up there waits for it each time, sshd and sudo too", strings.Join(m.Mute, ", "), who, zone)
		out.Remedy = "let that name server answer, or take it out of /etc/resolv.conf there"
	}
	return out
}

// found is what agent.Probe says of a zone that is known.
const found = "found"

const tcpRemedy = "allow TCP to port 53 from the machine to its resolver: answers that do not fit into a datagram need it"

func why(s cluster.Seen[string]) string {
	said, known := s.Get()
	if !known {
		return s.Why().Text
	}
	return said
}

// predicted is the largest SRV record set that the spec makes.
func predicted(spec cluster.Spec) cluster.RecordSet {
	var values []string
	for i := range spec.Members {
		name := cluster.MemberName(fmt.Sprintf("etcd-%07d", i)) // as long as all names that are made
		values = append(values, cluster.Service{Target: spec.HostName(name) + ".", Port: cluster.StandardPorts().Peer}.Value())
	}
	return cluster.NewRecordSet(spec.ServerService(), cluster.SRV, values...)
}

// answerSize looks whether the member list fits into a datagram.
func answerSize(s Subject, probes []*agent.Machine) render.Finding {
	size, without := dns.AnswerSize(predicted(s.Spec)), 0
	for _, m := range probes {
		if m == nil {
			continue
		}
		if tcp, _ := m.TCP.Get(); tcp != found {
			without++
		}
	}
	out := render.Finding{Check: "answer size", Grade: render.Fine, Found: fmt.Sprintf("the SRV answer takes %d bytes for %d members", size, s.Spec.Members)}
	switch {
	case size > dns.SafeDatagram:
		out.Grade, out.Found = render.Warning, fmt.Sprintf("%s, more than the %d of a datagram: every resolver must ask again over TCP", out.Found, dns.SafeDatagram)
		out.Remedy = "use a shorter domain or fewer members"
	case size > dns.PlainDatagram && without > 0:
		out.Grade, out.Found = render.Warning, fmt.Sprintf("%s, more than the %d of a datagram without EDNS, and on %d machines TCP fails", out.Found, dns.PlainDatagram, without)
		out.Remedy = tcpRemedy
	}
	return out
}
