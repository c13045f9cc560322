package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// instances looks at hosts that pleiad makes itself, as their provider sees them. To
// list them proves the credentials. Most of what is asked of a machine that somebody
// set up cannot be asked of one that is not there yet.
func instances(ctx context.Context, s Subject) []render.Finding {
	out := []render.Finding{answerSize(s, nil)}
	if h := s.Spec.Hosts.EC2; h != nil {
		out = append(out, judgeSpread(s.Spec.Members, len(h.Subnets)))
	}
	list, err := s.World.Hosts.List(ctx)
	if err != nil {
		return append(out, broken("hosts", err, remedyOf(err, "see what was asked, with: "+s.Command("doctor -v"))))
	}
	out = append(out, launched(s, list))
	return append(append(out, outdated(s, list.Hosts)...), unread(s, list.Places)...)
}

// launched says which hosts there are, and what is not looked at on them.
func launched(s Subject, list hosts.Listing) render.Finding {
	out := render.Finding{Check: "hosts", Grade: render.Fine}
	const unchecked = "system, clock, ports, disk and resolver of instances are not checked"
	if len(list.Hosts) == 0 {
		out.Found = fmt.Sprintf("%s can be listed; none is of this cluster yet, and up launches %d; %s", where(s.Spec), s.Spec.Members, unchecked)
		return out
	}
	var names []string
	for _, h := range list.Hosts {
		name := string(h.Name)
		if h.Pending != "" {
			name += " (" + h.Pending + ")"
		}
		names = append(names, name)
	}
	out.Found = fmt.Sprintf("%s can be listed; of this cluster are %s; %s", where(s.Spec), strings.Join(names, ", "), unchecked)
	return out
}

// outdated are hosts that are not as the spec wants new ones.
func outdated(s Subject, list []cluster.Host) []render.Finding {
	var out []render.Finding
	for _, h := range list {
		if h.Outdated != "" {
			out = append(out, render.Finding{Check: "host", Grade: render.Warning, Found: fmt.Sprintf("%s is not as new hosts would be: %s", h.Name, h.Outdated),
				Remedy: "move its member to a new host, with: " + s.Command("replace "+string(h.Name))})
		}
	}
	return out
}

func where(spec cluster.Spec) string {
	if region := spec.Region(); region != "" {
		return "the instances in " + region
	}
	return "the hosts"
}

// unread are hosts of the cluster of which the provider could not see enough.
func unread(s Subject, places []cluster.Place) []render.Finding {
	var out []render.Finding
	for _, p := range places {
		if p.Unknown == "" {
			continue
		}
		f := render.Finding{Check: "host", Grade: render.Broken, Found: p.Unknown, Remedy: strings.Join(p.Remedy, "\n")}
		if f.Remedy == "" {
			f.Remedy = "see what was asked, with: " + s.Command("doctor -v")
		}
		out = append(out, f)
	}
	return out
}

// judgeSpread looks whether the cluster survives the loss of the zone of a subnet. In
// which zones they are is not looked at.
func judgeSpread(members, subnets int) render.Finding {
	most := (members + subnets - 1) / subnets
	out := render.Finding{Check: "subnets", Grade: render.Fine, Found: fmt.Sprintf("%d for %d members, at most %d in each", subnets, members, most)}
	if members > 1 && most > cluster.Tolerance(members) {
		out.Grade = render.Warning
		out.Found += fmt.Sprintf(": the loss of its zone takes the quorum of %d with it", cluster.Quorum(members))
		out.Remedy = "name three subnets, each in another zone, under hosts.ec2.subnets"
	}
	return out
}
