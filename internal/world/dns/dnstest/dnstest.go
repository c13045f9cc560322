// Package dnstest is the conformance suite of the DNS contract: every clause
// of package dns has a case here, and every provider and the simulator pass
// all that their capabilities allow. A fake that passes less would lie.
//
// A provider's test calls [Run] with a function that opens a fresh zone. The
// simulator, which lives in a testing/synctest bubble where subtests cannot be
// started, takes the [Cases] one by one instead. The cases themselves wait for
// nothing but the zone and contexts, so they run in virtual time too.
//
// [Proxy] stands between a network provider and its server and loses messages
// on demand.
package dnstest

import (
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// Harness is one fresh zone and the ways to disturb it. Zone and Domain are
// required; a case whose disturbance is nil does not run.
type Harness struct {
	// Zone is the provider under test.
	Zone dns.Zone
	// Domain is where the suite writes: lower case, without trailing dot. All
	// names of a cluster under it are free.
	Domain string
	// Rival is a second, independent client of the same zone.
	Rival dns.Zone
	// Denied are clients whose credentials allow nothing here, by what is
	// wrong with these.
	Denied map[string]dns.Zone
	// Foreign writes a record set as somebody else would: unguarded, letters
	// as given.
	Foreign func(cluster.RecordSet)
	// CaseMatters says that to the server two SRV values are different ones
	// if their letters are, against RFC 2136, section 1.1.1: a value that somebody wrote in
	// upper case is read, but neither replaced nor deleted.
	CaseMatters bool
	// LoseAnswer lets the next Apply take effect and loses its answer.
	LoseAnswer func()
	// LoseRequest loses the next Apply before it takes effect, in a way that
	// the client cannot tell from LoseAnswer.
	LoseRequest func()
	// Stall makes the server take connections and say nothing from now on.
	Stall func()
	// Down makes the server refuse connections from now on.
	Down func()
}

// Case is one clause of the contract.
type Case struct {
	Name string
	Run  func(*testing.T, Harness)
	// needs says what the case takes; nil for nothing.
	needs func(Harness) bool
}

// Run runs every case that a harness such as open gives allows, each on a
// harness of its own, in parallel.
func Run(t *testing.T, open func(*testing.T) Harness) {
	for _, c := range Cases(open(t)) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.Run(t, open(t))
		})
	}
}

// Cases are the cases that a harness such as h allows.
func Cases(h Harness) []Case {
	var out []Case
	for _, part := range [][]Case{reading(), changing(), guarding(), racing(), failing()} {
		for _, c := range part {
			if c.needs == nil || c.needs(h) {
				out = append(out, c)
			}
		}
	}
	return out
}

func rivals(h Harness) bool  { return h.Rival != nil }
func foreign(h Harness) bool { return h.Foreign != nil }
func folds(h Harness) bool   { return foreign(h) && !h.CaseMatters }
func keeps(h Harness) bool   { return foreign(h) && h.CaseMatters }

// spec is a cluster on the harness's domain, whose names the suite uses.
func (h Harness) spec() cluster.Spec { return cluster.Spec{Domain: h.Domain, TLS: true} }

func (h Harness) marker(text string) cluster.RecordSet {
	return cluster.NewRecordSet(h.spec().MarkerName(), cluster.TXT, text)
}

func (h Harness) host(label, address string) cluster.RecordSet {
	kind := cluster.A
	for _, c := range address {
		if c == ':' {
			kind = cluster.AAAA
		}
	}
	return cluster.NewRecordSet(label+"."+h.Domain+".", kind, address)
}

func (h Harness) service(labels ...string) cluster.RecordSet {
	values := make([]string, len(labels))
	for i, l := range labels {
		values[i] = cluster.Service{Target: l + "." + h.Domain + ".", Port: 2380}.Value()
	}
	return cluster.NewRecordSet(h.spec().ServerService(), cluster.SRV, values...)
}

func add(set cluster.RecordSet) cluster.Change { return cluster.Change{Key: set.Key, New: &set} }
func remove(set cluster.RecordSet) cluster.Change {
	return cluster.Change{Key: set.Key, Old: &set}
}
func expect(set cluster.RecordSet) cluster.Change {
	return cluster.Change{Key: set.Key, Old: &set, New: &set}
}
func replace(from, to cluster.RecordSet) cluster.Change {
	return cluster.Change{Key: from.Key, Old: &from, New: &to}
}
