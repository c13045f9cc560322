package render

import (
	"strings"
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
		p.line("export %s=%s", one.Name, quote(one.Value))
	}
}

// quote makes a word of POSIX shell of any text.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/:.,_-=+@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
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
	// Remedy is what a person can do, unless it is fine.
	Remedy string `json:"remedy,omitempty"`
}

// Kind implements Value.
func (Findings) Kind() string { return "findings" }

func (f Findings) text(p *paper) {
	var rows [][]cell
	tones := map[Grade]tint{Fine: green, Warning: yellow, Broken: red}
	for _, one := range f.Findings {
		rows = append(rows, []cell{{string(one.Grade), tones[one.Grade]}, {one.Check, plain}, {one.Found, plain}})
		if one.Remedy != "" {
			rows = append(rows, []cell{{"", plain}, {"", plain}, {"remedy: " + one.Remedy, bold}})
		}
	}
	p.table(rows, 3)
}
