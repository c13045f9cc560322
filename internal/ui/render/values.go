package render

import (
	"strings"

	"github.com/clipperhouse/displaywidth"

	"github.com/pleiad-etcd/pleiad/internal/system/shell"
	"github.com/pleiad-etcd/pleiad/internal/ui/foreign"
)

// Endpoints are where clients reach a cluster.
type Endpoints struct {
	Domain string `json:"domain"`
	// Service is the name of the SRV records, with trailing dot.
	Service   string     `json:"service"`
	Endpoints []Endpoint `json:"endpoints"`
}

// Endpoint is one of them.
type Endpoint struct {
	URL  string `json:"url"`
	Host string `json:"host"`
	Port uint16 `json:"port"`
	TLS  bool   `json:"tls"`
	// Addresses are those of the host; Error is why there are none.
	Addresses []string `json:"addresses"`
	Error     string   `json:"error,omitempty"`
}

// Kind implements Value.
func (Endpoints) Kind() string { return "endpoints" }

// text is for scripts as well as for people: a URL a line, nothing else.
func (e Endpoints) text(p *paper) {
	for _, endpoint := range e.Endpoints {
		p.line("%s", endpoint.URL)
	}
}

// Variables are an environment for etcdctl.
type Variables struct {
	Variables []Variable `json:"variables"`
	// Note is printed as a comment.
	Note []string `json:"-"`
}

// Variable is one of them. An empty value means that it must not be set.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Kind implements Value.
func (Variables) Kind() string { return "environment" }

// text is POSIX shell.
func (v Variables) text(p *paper) {
	for _, n := range v.Note {
		p.line("# %s", n)
	}
	for _, one := range v.Variables {
		if one.Value == "" {
			p.line("unset %s", one.Name)
			continue
		}
		p.line("export %s=%s", one.Name, shell.Quote(one.Value))
	}
}

// Version says what this binary is.
type Version struct {
	// Release is the version of the module, "(devel)" outside of releases.
	Release string `json:"release"`
	// Revision is the commit, with "+changes" if the tree was not clean; empty
	// if it was built without version control.
	Revision string `json:"revision,omitempty"`
	Etcd     string `json:"etcd"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Kind implements Value.
func (Version) Kind() string { return "version" }

func (v Version) text(p *paper) {
	revision := ""
	if v.Revision != "" {
		revision = " (" + v.Revision + ")"
	}
	p.line("pleiad %s%s", v.Release, revision)
	p.line("etcd %s, %s, %s", v.Etcd, v.Go, v.Platform)
}

// Grade is how bad a finding is.
type Grade string

// The grades. Fine: as it should be. Warning: it works, but badly. Broken: up
// would fail.
const (
	Fine    Grade = "ok"
	Warning Grade = "warning"
	Broken  Grade = "fault"
)

// Findings are what doctor found.
type Findings struct {
	// Worst is the worst grade among them.
	Worst    Grade     `json:"worst"`
	Findings []Finding `json:"findings"`
}

// Finding is one thing that doctor looked at.
type Finding struct {
	// Check names what was looked at; it never changes.
	Check string `json:"check"`
	Grade Grade  `json:"grade"`
	// Found is what was found, with figures.
	Found string `json:"found"`
	// Remedy is what a person can do, unless it is fine; a line each.
	Remedy string `json:"remedy,omitempty"`
	// Host is the address of the machine that was looked at; empty for this one
	// and for the zone. Findings on one machine stand together.
	Host string `json:"host,omitempty"`
}

// Kind implements Value.
func (Findings) Kind() string { return "findings" }

func (f Findings) text(p *paper) {
	checks, host := 0, ""
	for _, one := range f.Findings {
		checks = max(checks, displaywidth.String(foreign.Text(one.Check)))
	}
	for _, one := range f.Findings {
		if one.Host != host {
			host = one.Host
			p.line("")
			p.tinted(bold, "host %s", host)
		}
		one.text(p, checks)
	}
}

// text prints a finding beside others whose checks have names as wide as that.
// What is to be typed stays on one line.
func (f Finding) text(p *paper, checks int) {
	grade := foreign.Text(string(f.Grade))
	width := len(Warning) + 2 + checks + 2
	tone := map[Grade]tint{Fine: green, Warning: yellow, Broken: red}[f.Grade]
	p.WriteString(string(p.paint(tone, grade)) + strings.Repeat(" ", max(0, len(Warning)-len(grade))+2) + pad(foreign.Text(f.Check), checks) + "  ")
	p.hanging(width, f.Found)
	label := "remedy: "
	for line := range strings.Lines(f.Remedy) {
		p.WriteString(strings.Repeat(" ", width))
		p.tinted(bold, "%s%s", label, strings.TrimSuffix(line, "\n"))
		label = strings.Repeat(" ", len(label))
	}
}
