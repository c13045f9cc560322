package render

import (
	"fmt"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Verdict is the health of a whole cluster.
type Verdict string

// The verdicts. Healthy: every member serves. Degraded: a quorum serves, but
// not every member does. Unhealthy: there is no quorum, or it is not one
// cluster.
const (
	Healthy   Verdict = "healthy"
	Degraded  Verdict = "degraded"
	Unhealthy Verdict = "unhealthy"
)

// Health is a cluster as a client finds it through DNS.
type Health struct {
	Domain  string         `json:"domain"`
	Verdict Verdict        `json:"verdict"`
	Members []MemberHealth `json:"members"`
	// Problems are what is wrong with the cluster as a whole.
	Problems []string `json:"problems,omitempty"`
}

// MemberHealth is one member as a client finds it.
type MemberHealth struct {
	// ID is empty where nobody could say it.
	ID   string             `json:"id,omitempty"`
	Name cluster.MemberName `json:"name"`
	// URL is the endpoint that the client records name, empty if they do not
	// name this member.
	URL     string `json:"url,omitempty"`
	Healthy bool   `json:"healthy"`
	// Detail is why it is not healthy.
	Detail string `json:"detail,omitempty"`
}

// Kind implements Value.
func (Health) Kind() string { return "health" }

func (h Health) text(p *paper) {
	for _, m := range h.Members {
		who := string(m.Name)
		if m.ID != "" {
			who = fmt.Sprintf("%s (%s)", m.ID, m.Name)
		}
		if m.Healthy {
			p.line("member %s is %s: got healthy result from %s", who, p.paint(green, "healthy"), m.URL)
		} else {
			p.line("member %s is %s: %s", who, p.paint(red, "unhealthy"), m.Detail)
		}
	}
	for _, problem := range h.Problems {
		p.tinted(red, "%s", problem)
	}
	word := map[Verdict]tint{Healthy: green, Degraded: yellow, Unhealthy: red}[h.Verdict]
	p.tinted(word, "cluster is %s", h.Verdict)
}
