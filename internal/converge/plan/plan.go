// Package plan is the third of five stages: it decides what to do. From a spec
// and a state it makes the next steps towards the spec, or refusals that say
// which rule forbids a step, on what evidence, and what a person can do.
//
// [Up] plans towards the spec, [Replace] too, with members that a person names
// replaced, [Destroy] towards nothing; [Road] walks any of them over predicted states, for people who want to see all steps ahead.
//
// It is pure: no I/O, clock, randomness or log; the same spec and state give the
// same plan, byte for byte. The rules it follows are the numbered ones in
// docs/planning.md; the stories in testdata show each of them at work.
//
// A refusal names its remedies by [Way]. Each way is carried out by a test, so
// a new one needs a case there; see [Way] for how to add it.
//
// The path of a cluster, one row per batch of steps, each planned from a fresh
// observation:
//
//	seen                                  planned
//	name server of ours is down           start it, and what does not need it
//	nothing at all                        make the CA, claim the marker
//	marker bootstrapping, hosts missing   launch them (together)
//	records or nodes not as wanted        publish A and server SRV; install nodes (together)
//	members not running                   start them (in order)
//	members not yet serving               await them
//	all serve, one ID, full list          seal the marker, publish client SRV
//	sealed, nodes or records not right    repair them, and
//	sealed, members not running           start them (together)
//	sealed, running with old flags        announce one on the marker, the leader last, make
//	                                      another one lead if it does, then stop it, if the
//	                                      others are a quorum
//	none left with old flags              take that off the marker
//	agreement                             nothing
//
// Whatever of this is refused, sealed members that are not running are started.
package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Plan is the next batch of steps, and what was refused.
type Plan struct {
	Steps []Step
	// Together says that steps on different objects do not depend on each
	// other and are carried out at once; those on one object are carried out
	// in order. Otherwise all are. An error never keeps a later step from being
	// tried.
	Together bool
	Refusals []Refusal
}

// Rule is the number of a rule in docs/planning.md, such as "R6".
type Rule string

// Refusal is a step not taken.
type Refusal struct {
	Rule Rule `json:"rule"`
	// What was not done, as the step would be called: "start member etcd-x".
	What string `json:"what"`
	// Evidence is what was seen, a line each.
	Evidence []string `json:"evidence"`
	// Remedy is what a person can do, a line each; commands stand alone.
	Remedy []Remedy `json:"remedy,omitempty"`
	// Unknown says that something could not be seen: another look may do.
	Unknown bool `json:"unknown,omitempty"`
	// Asked says that it is the spec that asks for what is refused, rather than
	// something in the world that stands in the way of it.
	Asked bool `json:"-"`
}

// String is the refusal in one line.
func (r Refusal) String() string {
	return fmt.Sprintf("%s: refused by rule %s: %s", r.What, r.Rule, strings.Join(r.Evidence, "; "))
}

// same says whether two refusals tell the same.
func (r Refusal) same(other Refusal) bool {
	return r.Rule == other.Rule && r.What == other.What && slices.Equal(r.Evidence, other.Evidence)
}

// Advice is the remedy as lines of text.
func (r Refusal) Advice() []string {
	var out []string
	for _, m := range r.Remedy {
		out = append(out, m.String())
	}
	return out
}

// Spelled is the refusal with the commands of its remedies written by command;
// see [Remedy.Spelled].
func (r Refusal) Spelled(command func(arguments string) string) Refusal {
	remedy := make([]Remedy, len(r.Remedy))
	for i, m := range r.Remedy {
		remedy[i] = m.Spelled(command)
	}
	r.Remedy = remedy
	return r
}

// Planner is Up or Destroy.
type Planner func(cluster.Spec, cluster.State) Plan

// situation is what the planners look at: the state, and the parts of it that
// were seen.
type situation struct {
	spec    cluster.Spec
	state   cluster.State
	control cluster.Control // zero: unknown, so that nothing is ours
	records cluster.Records
	marker  *cluster.Marker // nil: absent
	stored  *cluster.RecordSet
	hosts   []cluster.Host
	roster  cluster.Roster // of the marker; nil without one
	// list is etcd's own list of members.
	list cluster.Seen[[]cluster.Member]
	// wishes are what a person asks for beside the spec.
	wishes Wishes
	// replacing says that members that are dead are replaced, and so need no person.
	replacing bool
}

// look unwraps what every plan needs to know. Unknown is not absent: without
// the records and the list of hosts nothing new is begun.
func look(spec cluster.Spec, s cluster.State, what string) (situation, []Refusal) {
	sit := situation{spec: spec, state: s, control: s.Control.Or(cluster.Control{}), records: s.Records.Or(cluster.Records{}), hosts: s.Hosts.Or(nil)}
	if stored, ok := sit.records.Get(spec.MarkerKey()); ok {
		sit.stored = &stored
	}
	if refusals := sit.unread(what); len(refusals) > 0 || sit.stored == nil {
		return sit, refusals
	}
	m, refusal := sit.ownMarker(what)
	// Whoever has the cluster's CA made it, whatever the marker says now.
	if refusal == nil || m.CA != "" && m.CA == sit.control.CA {
		sit.marker, sit.roster = &m, spec.Roster(m, sit.hosts, sit.records)
		sit.list = cluster.Membership(views(slices.Concat(sit.hosts, s.Missing)), m.ID)
	}
	if refusal == nil {
		return sit, nil
	}
	if sit.marker != nil {
		refusal.Remedy = append(sit.putBack(damaged), refusal.Remedy...)
	}
	return sit, []Refusal{*refusal}
}

// views are what the members say that answer.
func views(hosts []cluster.Host) []cluster.View {
	var out []cluster.View
	for _, h := range hosts {
		if v, known := h.View.Get(); known {
			out = append(out, v)
		}
	}
	return out
}

// unread are refusals for what every plan needs to know and could not be read.
func (s situation) unread(what string) []Refusal {
	if !s.state.Control.Known() {
		return []Refusal{{Rule: "R10", What: what,
			Evidence: []string{"the state directory could not be read: " + s.state.Control.Why().Text},
			Remedy:   remedies(ReadControl)}}
	}
	var out []Refusal
	if !s.state.Hosts.Known() {
		out = append(out, Refusal{Rule: "R1", What: what, Unknown: true,
			Evidence: []string{"the list of hosts could not be read: " + s.state.Hosts.Why().Text},
			Remedy:   remedies(ReadHosts)})
	}
	if !s.state.Records.Known() {
		why, server := s.state.Records.Why(), s.state.Server.Or(cluster.NameServer{})
		remedy := ServerSays.lines(why.Remedy...)
		switch {
		case why.Denied:
			remedy = append(remedy, CompareKey.Say())
		case server.Copy != "":
			remedy = remedies(PutFolderBack, TakeOver)
		case !why.Lasting || len(remedy) == 0:
			remedy = append(remedy, ReachNameServer.Say())
		}
		out = append(out, Refusal{Rule: "R1", What: what, Unknown: !why.Denied && !why.Lasting && server.Copy == "", Remedy: remedy,
			Evidence: []string{"the records of " + s.spec.Domain + " could not be read: " + why.Text}})
	}
	return out
}

// ownMarker reads the marker and makes sure that it is ours (rule R10).
func (s situation) ownMarker(what string) (cluster.Marker, *Refusal) {
	spec, control, stored := s.spec, s.control, *s.stored
	foreign := func(evidence string, ways ...Way) *Refusal {
		return &Refusal{Rule: "R10", What: what, Evidence: []string{evidence}, Remedy: remedies(ways...)}
	}
	m, err := cluster.ReadMarker(stored)
	if errors.Is(err, cluster.ErrManyValues) {
		r := foreign(err.Error(), RemoveValues)
		r.Remedy = append(r.Remedy, s.deletion(besideMarker(stored))...)
		return m, r
	}
	if err != nil {
		r := foreign(fmt.Sprintf("%s TXT is not a marker this pleiad understands: %v", stored.Name, err), OtherDomain, NewerPleiad)
		if !strings.Contains(stored.Values[0], "cluster=") { // nor one of a newer pleiad
			r.Remedy = slices.Concat(remedies(DeleteRecords), s.deletion([]cluster.RecordSet{stored}), remedies(OtherDomain))
		}
		return m, r
	}
	if m.Cluster != spec.Cluster {
		return m, foreign(fmt.Sprintf("the marker on %s is of cluster %q, not %q", spec.Domain, m.Cluster, spec.Cluster),
			OtherDomain)
	}
	if m.Owner != control.Owner {
		r := foreign(fmt.Sprintf("the marker on %s belongs to owner %s; this state directory is %s", spec.Domain, m.Owner, ownerName(control.Owner)),
			OwnersDirectory)
		r.Evidence = append(r.Evidence, Standing(m, s.hosts)...)
		if control.Owner == "" {
			r.Remedy = append(r.Remedy, SeeTakeDown.Say())
		}
		return m, r
	}
	return m, nil
}

// Standing is what can be seen of the cluster of a marker, for somebody who does not
// have its state directory: how far it has come, its members, and how long they run.
func Standing(m cluster.Marker, hosts []cluster.Host) []string {
	out := []string{fmt.Sprintf("the cluster is %s; its members: %s", m.Phase, cluster.JoinMembers(m.Members))}
	if len(m.Members) == 0 {
		out[0] = fmt.Sprintf("the cluster is %s, without members", m.Phase)
	}
	var first time.Time
	for _, h := range hosts {
		p := h.Node.Or(cluster.Node{}).Process
		if h.Token == m.Token && p.Running && !p.Since.IsZero() && (first.IsZero() || p.Since.Before(first)) {
			first = p.Since
		}
	}
	if !first.IsZero() {
		out = append(out, "it runs since "+first.UTC().Format("2006-01-02 15:04 MST")+" at least, as its hosts tell")
	}
	return out
}

// besideMarker are the values beside the one marker in its place; nil where there are
// several or none: which of them is the right one nobody can tell.
func besideMarker(stored cluster.RecordSet) []cluster.RecordSet {
	var others []string
	for _, v := range stored.Values {
		if _, err := cluster.ParseMarker(v); err != nil {
			others = append(others, v)
		}
	}
	if len(others) != len(stored.Values)-1 {
		return nil
	}
	return []cluster.RecordSet{cluster.NewRecordSet(stored.Name, stored.Type, others...)}
}

func ownerName(o cluster.Owner) string {
	if o == "" {
		return "new and owns nothing yet"
	}
	return string(o)
}
