package render

import (
	"fmt"

	"github.com/pleiad-etcd/pleiad/internal/operate"
)

// Health is a cluster as a client finds it through DNS.
type Health operate.Health

// Kind implements Value.
func (Health) Kind() string { return "health" }

func (h Health) text(p *paper) {
	for _, m := range h.Members {
		who := string(m.Name)
		if m.ID != "" {
			who = fmt.Sprintf("%s (%s)", m.ID, m.Name)
		}
		switch {
		case m.Healthy:
			p.line("member %s is %s: got healthy result from %s", who, p.paint(green, "healthy"), m.URL)
		case m.Unknown:
			p.line("member %s is %s: %s", who, p.paint(yellow, "unknown"), m.Detail)
		default:
			p.line("member %s is %s: %s", who, p.paint(red, "unhealthy"), m.Detail)
		}
	}
	for _, problem := range h.Problems {
		p.tinted(red, "%s", problem)
	}
	word := map[operate.Verdict]tint{operate.Healthy: green, operate.Degraded: yellow, operate.Unclear: yellow, operate.Unhealthy: red}[h.Verdict]
	if h.Direct {
		p.tinted(word, "cluster is %s, asked by address: this says nothing about DNS", h.Verdict)
		return
	}
	p.tinted(word, "cluster is %s", h.Verdict)
}
