package spec

import (
	"bytes"
	"fmt"
	"maps"
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
	w.group(keys(), 0)
	return w.out.Bytes()
}

// Template is a pleiad.yaml to start from, with every key explained, for a kind
// of hosts and a DNS provider, named as in the file.
func Template(hosts, dns string) ([]byte, error) {
	s := Default()
	var problems []Problem
	for _, p := range []struct{ flag, name string }{{"hosts", hosts}, {"dns", dns}} {
		if err := pickProvider(&s, p.flag, p.name); err != nil {
			problems = append(problems, Problem{Text: err.Error()})
		}
	}
	if err := report(problems); err != nil {
		return nil, err
	}
	if r := s.DNS.RFC2136; r != nil {
		// Names and addresses that are set aside for documentation (RFC 2606,
		// RFC 5737): nobody is hurt if somebody leaves them as they are.
		s.Cluster, s.Domain = "etcd-1", "etcd.example.com"
		*r = cluster.RFC2136DNS{Server: "192.0.2.53:53", Zone: "example.com", KeyFile: "/etc/pleiad/tsig.key"}
	}
	w := &writer{spec: s, explain: true}
	fmt.Fprintf(&w.out, "# What is wanted of one etcd cluster. Edit it, then: pleiad up -f %s\n", FileName)
	w.group(keys(), 0)
	return w.out.Bytes(), nil
}

// FileName is what a spec file is called unless somebody calls it otherwise.
const FileName = "pleiad.yaml"

// writer writes the keys of a spec as YAML.
type writer struct {
	spec    cluster.Spec
	explain bool
	out     bytes.Buffer
}

func (w *writer) group(keys []key, depth int) {
	for _, k := range keys {
		if k.picked != nil && !k.picked(w.spec) {
			continue
		}
		if w.explain {
			w.comment(k, depth)
		}
		switch k.kind {
		case options:
			w.options(k, depth)
		case word, number:
			w.scalar(k, depth)
		default:
			if len(k.keys) == 0 {
				w.line(depth, k.name+": {}")
				continue
			}
			w.line(depth, k.name+":")
			w.group(k.keys, depth+1)
		}
	}
}

func (w *writer) scalar(k key, depth int) {
	switch v := k.get(w.spec); {
	case v != "" && len(k.values) > 0: // numbers, and words that are none of YAML's own
		w.line(depth, k.name+": "+v)
	case v != "":
		w.line(depth, k.name+": "+quoted(v))
	case w.explain:
		w.line(depth, "# "+k.name+": "+k.example)
	}
}

func (w *writer) options(k key, depth int) {
	set := w.spec.Etcd.Options
	if len(set) == 0 {
		if w.explain {
			w.line(depth, "# "+k.name+":")
			w.line(depth, "#   "+k.example)
		}
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
		`^[0-9]+(\.[0-9]+){3}(:[0-9]+)?$|^[0-9]+(ms|s|m|h)$`) // addresses, durations
	reserved := []string{"null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan"}
	if plain.MatchString(text) && !slices.Contains(reserved, strings.ToLower(text)) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}
