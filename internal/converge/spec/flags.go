package spec

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Flags are those of the command line that say what is wanted; nil is a flag
// that was not given.
type Flags struct {
	// File is the spec file, -f; empty for none. A file is the whole spec, so no
	// other flag may go with it.
	File    string
	Cluster *string
	Domain  *string
	Members *int
	TLS     *string // auto or off
}

// FromFlags makes the spec that a command line asks for: from the file it
// names, whose bytes read returns, or else from the defaults changed by the
// other flags. Errors of read are wrapped; all others are an [*Error].
func FromFlags(f Flags, read func(filename string) ([]byte, error)) (cluster.Spec, error) {
	if f.File == "" {
		return f.Apply(Default())
	}
	var problems []Problem
	for _, g := range f.given() {
		problems = append(problems, Problem{Text: fmt.Sprintf("%s: cannot be combined with -f; expected %s in %s instead", g, g.key, f.File)})
	}
	if err := report(problems); err != nil {
		return cluster.Spec{}, err
	}
	data, err := read(f.File)
	if err != nil {
		return cluster.Spec{}, fmt.Errorf("read spec: %w", err)
	}
	return Parse(f.File, data)
}

// Apply changes a spec as the flags say, the file aside. A cluster that gets a
// name but no domain, and had the domain that went with its old name, gets the
// one that goes with the new: dev on dev.test becomes blue on blue.test, so
// that clusters side by side have names of their own.
func (f Flags) Apply(s cluster.Spec) (cluster.Spec, error) {
	own := s.Domain == string(s.Cluster)+".test"
	var problems []Problem
	for _, g := range f.given() {
		k, _ := find(keys(), g.key)
		if err := assign(k, &s, g.value, ""); err != nil {
			problems = append(problems, Problem{Text: fmt.Sprintf("%s: %s", g, err)})
		}
	}
	if own && f.Domain == nil && s.Cluster != "" {
		s.Domain = string(s.Cluster) + ".test"
	}
	for _, c := range together(s) {
		problems = append(problems, Problem{Text: fmt.Sprintf("%s: %s", c.flag(f), c.err)})
	}
	if err := report(problems); err != nil {
		return cluster.Spec{}, err
	}
	return s, nil
}

// flag names the flag behind a clash; without one it is the spec's own.
func (c clash) flag(f Flags) string {
	machines := c.path == "hosts.ssh.addresses"
	switch {
	case machines && f.Members != nil:
		return given{"members", strconv.Itoa(*f.Members)}.String() + ": " + c.path
	case !machines && f.Domain != nil:
		return given{"domain", *f.Domain}.String()
	case c.value == "":
		return c.path
	}
	return c.path + " " + display(c.value)
}

// given is a flag that was given, by the key of the spec that it stands for.
type given struct{ key, value string }

// String is the flag as a person typed it.
func (g given) String() string { return "--" + g.key + " " + display(g.value) }

func (f Flags) given() []given {
	var out []given
	text := func(key string, v *string) {
		if v != nil {
			out = append(out, given{key, *v})
		}
	}
	text("cluster", f.Cluster)
	text("domain", f.Domain)
	if f.Members != nil {
		out = append(out, given{"members", strconv.Itoa(*f.Members)})
	}
	text("tls", f.TLS)
	return out
}

// fitting is the DNS provider that goes with a kind of hosts when nobody names
// one.
func fitting(hosts string) string {
	switch hosts {
	case "ssh":
		return "rfc2136"
	case "ec2":
		return "cloudflare"
	}
	return "embedded"
}

// fittingDNS is that provider as it may stand in a file.
func fittingDNS(hosts string) string {
	if fitting(hosts) == "cloudflare" {
		return fmt.Sprintf("{cloudflare: {zone: %s}}", exampleCloudflare().Zone)
	}
	d := exampleDNS()
	return fmt.Sprintf("{rfc2136: {server: %s, zone: %s, keyFile: %s}}", d.Server, d.Zone, d.KeyFile)
}

// pickProvider makes a spec use the provider that a flag of pleiad init names.
func pickProvider(s *cluster.Spec, flag, name string) error {
	k, _ := find(keys(), flag)
	if provider, ok := find(k.keys, name); ok {
		provider.pick(s)
		return nil
	}
	why := "unknown"
	for _, l := range k.later {
		if l == name {
			why = "not in this version yet"
		}
	}
	return fmt.Errorf("%s: %s; expected %s", given{flag, name}, why, strings.Join(names(k.keys), " or "))
}
