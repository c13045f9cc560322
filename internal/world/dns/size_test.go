package dns_test

import (
	"fmt"
	"testing"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rr"
	"pgregory.net/rapid"
)

// packed is the size of a compressing server's answer.
func packed(t rapid.TB, set cluster.RecordSet) int {
	t.Helper()
	records, err := rr.Pack(set)
	if err != nil {
		t.Fatal(err)
	}
	m := new(wire.Msg).SetQuestion(set.Name, wire.TypeSRV)
	m.SetEdns0(dns.SafeDatagram, false)
	m.Answer, m.Compress = records, true
	raw, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return len(raw)
}

func members(n int) cluster.RecordSet {
	var values []string
	for i := range n {
		values = append(values, fmt.Sprintf("0 0 2380 m%d.c1.example.com.", i))
	}
	return cluster.NewRecordSet("_etcd-server-ssl._tcp.c1.example.com.", cluster.SRV, values...)
}

func TestAnswerSizeIsWhatServersSend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.StringMatching(`[a-z0-9]{1,40}`)
		domain := label.Draw(t, "domain") + "." + label.Draw(t, "zone") + "."
		var values []string
		for i := range rapid.IntRange(0, 60).Draw(t, "members") {
			values = append(values, fmt.Sprintf("0 0 2380 %s%d.%s", label.Draw(t, "member"), i, domain))
		}
		set := cluster.NewRecordSet("_etcd-server-ssl._tcp."+domain, cluster.SRV, values...)
		if got, want := dns.AnswerSize(set), packed(t, set); got != want {
			t.Fatalf("%d members: predicted %d bytes, packed %d", len(values), got, want)
		}
	})
	root := cluster.NewRecordSet("_a._tcp.test.", cluster.SRV, "0 0 0 .")
	if got, want := dns.AnswerSize(root), packed(t, root); got != want {
		t.Errorf("root as target: predicted %d bytes, packed %d", got, want)
	}
}

// How many members fit a datagram under a short naming.
func TestMembersThatFit(t *testing.T) {
	for limit, most := range map[int]int{dns.PlainDatagram: 12, dns.SafeDatagram: 30} {
		for n, fits := range map[int]bool{most: true, most + 1: false} {
			if size := dns.AnswerSize(members(n)); (size <= limit) != fits {
				t.Errorf("%d members take %d bytes of %d", n, size, limit)
			}
		}
	}
}
