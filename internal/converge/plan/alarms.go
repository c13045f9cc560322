package plan

import (
	"fmt"
	"slices"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// Members may serve, or run, and still need a person: no step of ours mends what they
// report, and no waiting does. It is refused at once, with what can be done.

// needsPerson says whether a member that runs will not serve however long it is waited
// for.
func needsPerson(h cluster.Host) bool {
	v, known := h.View.Get()
	return h.Runs() && !known && h.View.Why().Lasting || v.Corrupt()
}

// unserved are refusals for such members. Nothing is restarted beside them: see roll.
func (s situation) unserved() []Refusal {
	var nobody []cluster.MemberName
	var out []Refusal
	var alarms []cluster.Alarm
	for _, h := range s.roster.Members() {
		if n := h.Node.Or(cluster.Node{}); n.Tight() {
			out = append(out, Refusal{Rule: "R14", What: "rely on the disk of host " + string(h.Name),
				Evidence: []string{fmt.Sprintf("%d MB are left to %s: etcd ends when it cannot write, and may not start again", *n.Free/1_000_000, h.Paths.Data)},
				Remedy:   []Remedy{FreeDisk.Say(h.Name, cluster.TightDisk/1_000_000)}})
		}
		v, known := h.View.Get()
		if h.Runs() && !known && h.View.Why().Lasting {
			nobody = append(nobody, h.Name)
		}
		for _, a := range v.Alarms {
			if a.Kind != cluster.NoSpace && !slices.Contains(alarms, a) {
				alarms = append(alarms, a)
			}
		}
	}
	if nobody != nil {
		h, _ := s.roster.Member(nobody[0])
		out = append(out, Refusal{Rule: "R1", What: "judge member " + cluster.JoinMembers(nobody),
			Evidence: []string{h.View.Why().Text}, Remedy: remedies(AuthOff)})
	}
	for _, a := range alarms {
		r := Refusal{Rule: "R14", What: "go on beside the alarm " + a.String(),
			Evidence: []string{"the data of a member is not that of the others, and etcd answers nobody until the alarm is ended"},
			Remedy:   remedies(CompareHashes)}
		h, found := s.roster.Member(a.Name)
		switch {
		case found && s.replaced(h.Name):
			continue
		case found:
			r.Remedy = []Remedy{ReplaceCorrupt.Say(h.Name)}
		case a.Member != 0 && s.list.Known() && !slices.ContainsFunc(s.list.Or(nil), func(m cluster.Member) bool { return m.ID == a.Member }):
			r.Remedy = remedies(Disarm)
		}
		out = append(out, r)
	}
	return out
}

// full refuses to call a cluster right that takes no writes. Nobody but the people who
// use it know which of the data can go, and its past revisions may be wanted too.
func (s situation) full() []Refusal {
	var said []string
	var revision, size int64
	for _, h := range s.roster.Members() {
		v := h.View.Or(cluster.View{})
		revision, size = max(revision, v.Revision), max(size, v.DBSize)
		for _, a := range v.Alarms {
			if text := "the alarm " + a.String() + " stands: the cluster takes no writes but those that delete"; a.Kind == cluster.NoSpace && !slices.Contains(said, text) {
				said = append(said, text)
			}
		}
	}
	if said == nil {
		return nil
	}
	quota := node.Quota(s.spec)
	r := Refusal{Rule: "R14", What: "make room in the database",
		Evidence: append(said, fmt.Sprintf("the largest database has %d bytes, the quota is %d", size, quota))}
	if size < quota/10*9 {
		r.Remedy = remedies(Disarm)
	} else {
		r.Remedy = []Remedy{MakeRoom.Say("delete what nobody needs and keep no revision but the newest, give the space back, and end the alarm:"),
			MakeRoom.form("{etcdctl}compact %d && {etcdctl}defrag --cluster && {etcdctl}alarm disarm", revision),
			RaiseQuota.Say()}
	}
	return []Refusal{r}
}
