package spec

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Encode writes a spec as a file that [Parse] reads to the same spec again, in
// any folder unless the spec holds relative paths: those start, again, at the
// folder of the file.
func Encode(s cluster.Spec) []byte {
	w := &writer{spec: s}
	w.group(key{kind: group, keys: keys()}, 0)
	return w.out.Bytes()
}

// Template is a pleiad.yaml to start from, with every key explained, for a kind
// of hosts, a DNS provider and a way of delivery, named as in the file; "" is what
// goes with the hosts.
func Template(hosts, dns, deliver string) ([]byte, error) {
	if dns == "" {
		dns = fitting(hosts)
	}
	s := Default()
	var problems []Problem
	for _, p := range []struct{ flag, name string }{{"hosts", hosts}, {"dns", dns}} {
		if err := pickProvider(&s, p.flag, p.name); err != nil {
			problems = append(problems, Problem{Text: err.Error()})
		}
	}
	if err := deliverBy(&s, deliver); err != nil {
		problems = append(problems, Problem{Text: err.Error()})
	}
	exemplify(&s)
	if len(problems) == 0 {
		for _, c := range together(s) {
			problems = append(problems, Problem{Text: fmt.Sprintf("%s: %s", given{"dns", dns}, c.err)})
		}
	}
	if err := report(problems); err != nil {
		return nil, err
	}
	w := &writer{spec: s, explain: true}
	fmt.Fprintf(&w.out, "# Spec of one etcd cluster. Edit it, then: pleiad up -f %s\n", FileName)
	w.group(key{kind: group, keys: keys()}, 0)
	return w.out.Bytes(), nil
}

// exemplify fills in what a person must change, with what is set aside for
// documentation.
func exemplify(s *cluster.Spec) {
	if r := s.DNS.RFC2136; r != nil {
		s.Cluster, s.Domain = "etcd-1", "etcd.example.com"
		*r = exampleDNS()
	}
	if c := s.DNS.Cloudflare; c != nil {
		s.Cluster, s.Domain = "etcd-1", "etcd.example.com"
		c.Zone = exampleCloudflare().Zone // the token is in the environment, or its file named by whoever has one
	}
	if r := s.DNS.Route53; r != nil {
		s.Cluster, s.Domain = "etcd-1", "etcd.example.com"
		r.Zone = exampleRoute53().Zone // its ID is needed where that is not enough
	}
	if s.Hosts.EC2 != nil {
		*s.Hosts.EC2 = exampleEC2()
	}
	if ssh := s.Hosts.SSH; ssh != nil {
		for a := netip.AddrFrom4([4]byte{192, 0, 2, 11}); len(ssh.Addresses) < s.Members; a = a.Next() {
			ssh.Addresses = append(ssh.Addresses, a)
		}
	}
}

// FileName is what a spec file is called unless somebody calls it otherwise.
const FileName = "pleiad.yaml"

// writer writes the keys of a spec as YAML.
type writer struct {
	spec    cluster.Spec
	explain bool
	out     bytes.Buffer
}

func (w *writer) group(g key, depth int) {
	for _, k := range g.keys {
		picked := k.picked == nil || k.picked(w.spec)
		if k.hidden && w.explain {
			continue
		}
		if !picked && (g.kind == choice || !w.explain || k.fits != nil && !k.fits(w.spec)) {
			continue
		}
		if w.explain {
			w.comment(k, depth)
		}
		if !picked {
			w.sample(k, depth)
			continue
		}
		w.value(k, depth)
	}
}

func (w *writer) value(k key, depth int) {
	switch k.kind {
	case options:
		w.options(k, depth)
	case word, number:
		if w.settled(k) {
			w.line(depth, k.name+":")
			w.group(key{kind: choice, keys: k.keys}, depth+1)
			return
		}
		w.scalar(k, depth)
	case list:
		w.list(k, depth)
	default:
		if len(k.keys) == 0 {
			w.line(depth, k.name+": {}")
			return
		}
		w.line(depth, k.name+":")
		w.group(k, depth+1)
	}
}

// settled says that a word has settings to be written in place of it, or to be
// explained.
func (w *writer) settled(k key) bool {
	for _, sub := range k.keys {
		if sub.picked(w.spec) {
			return w.explain || *w.spec.Chef != *usualChef()
		}
	}
	return false
}

func (w *writer) scalar(k key, depth int) {
	switch v := k.get(w.spec); {
	case v != "" && (k.kind == number || len(k.values) > 0): // words that are none of YAML's own
		w.line(depth, k.name+": "+v)
	case v != "":
		w.line(depth, k.name+": "+quoted(v))
	default:
		w.sample(k, depth)
	}
}

func (w *writer) list(k key, depth int) {
	items := k.items(w.spec)
	switch {
	case len(items) == 0:
		w.sample(k, depth)
		return
	case len(items) == 1 && k.single:
		w.line(depth, k.name+": "+quoted(items[0]))
		return
	}
	w.line(depth, k.name+":")
	for _, item := range items {
		w.line(depth+1, "- "+quoted(item))
	}
}

func (w *writer) options(k key, depth int) {
	set := w.spec.Etcd.Options
	if len(set) == 0 {
		w.sample(k, depth)
		return
	}
	w.line(depth, k.name+":")
	for _, name := range slices.Sorted(maps.Keys(set)) {
		v := set[name]
		if !regexp.MustCompile(`^(0|[1-9][0-9]{0,17}|true|false)$`).MatchString(v) {
			v = quoted(v)
		}
		w.line(depth+1, name+": "+v)
	}
}

// sample shows a key that is not set, in a template.
func (w *writer) sample(k key, depth int) {
	if !w.explain {
		return
	}
	for _, l := range sample(k) {
		w.line(depth, "# "+l)
	}
}

// sample is a key with its example.
func sample(k key) []string {
	lines := []string{k.name + ":"}
	switch k.kind {
	case options:
		return append(lines, "  "+k.example)
	case list:
		return append(lines, "  - "+quoted(k.example))
	case number:
		return []string{k.name + ": " + k.example}
	case word:
		return []string{k.name + ": " + quoted(k.example)}
	}
	for _, sub := range k.keys {
		for _, l := range sample(sub) {
			lines = append(lines, "  "+l)
		}
	}
	return lines
}

// comment explains a key above it, and the keys at the top stand apart.
func (w *writer) comment(k key, depth int) {
	if depth == 0 {
		w.out.WriteByte('\n')
	}
	const width = 80
	line := "#"
	for _, word := range strings.Fields(k.doc) {
		if 2*depth+len(line)+1+len(word) > width {
			w.line(depth, line)
			line = "#"
		}
		line += " " + word
	}
	w.line(depth, line)
}

func (w *writer) line(depth int, text string) {
	w.out.WriteString(strings.Repeat("  ", depth) + text + "\n")
}

// quoted is a text as YAML reads it back as text: in quotes unless no reader
// of any version of YAML could take it for a number, a date, a boolean or
// nothing. Specs hold no control characters, so single quotes do.
func quoted(text string) string {
	plain := regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9./_-]*(:[0-9]+)?$|` + // names, paths, host:port
		`^~/[A-Za-z0-9./_-]+$|^https?://[A-Za-z0-9./_:-]*[A-Za-z0-9/_-]$|` + // paths at home, URLs
		`^[0-9]+(\.[0-9]+){2,3}(:[0-9]+)?$|^[0-9]+(ms|s|m|h)$`) // versions, addresses, durations
	reserved := []string{"null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan"}
	if plain.MatchString(text) && !slices.Contains(reserved, strings.ToLower(text)) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}
