package spec

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec/option"
)

// reader turns the syntax tree of one file into a spec and collects what is
// wrong with it on the way.
type reader struct {
	file     string
	lines    []string
	problems []Problem
	// at is where the value of each key stands, by path: "dns.rfc2136.zone".
	at map[string]place
	// derived is what the file says of keys whose value follows from others.
	derived map[string]string
}

// place is a line and a column, both from 1; line 0 is the file as a whole.
type place struct{ line, column int }

func (r *reader) problem(at place, text string) {
	p := Problem{File: r.file, Line: at.line, Column: at.column, Text: text}
	if at.line > len(r.lines) { // the end of the file, after its last line break
		p.Line = len(r.lines)
	}
	if p.Line > 0 {
		p.Source = redact(r.lines[p.Line-1])
		p.Column = max(1, min(p.Column, len([]rune(r.lines[p.Line-1]))+1))
	}
	r.problems = append(r.problems, p)
}

// clash reports a value that does not go with others, where it stands.
func (r *reader) clash(c clash) {
	at := r.at[c.path]
	name := c.path[strings.LastIndexByte(c.path, '.')+1:]
	if c.value != "" {
		name += " " + display(c.value)
	}
	r.problem(at, fmt.Sprintf("%s: %s", name, c.err))
}

// group reads the keys of one mapping. path is where it stands, without a
// final dot.
func (r *reader) group(g key, m *ast.MappingNode, s *cluster.Spec, path ...string) {
	seen, meant, chosen := map[string]place{}, map[string]bool{}, ""
	for _, entry := range m.Values {
		name, at := keyText(entry.Key), start(entry.Key)
		if first, twice := seen[name]; twice {
			r.problem(at, fmt.Sprintf("key %s is given twice; expected it once, and it is on line %d", display(name), first.line))
			continue
		}
		seen[name] = at
		k, known := find(g.keys, name)
		switch {
		case slices.Contains(g.later, name):
			r.problem(at, fmt.Sprintf("%s %s: not in this version yet; expected %s", g.name, name, strings.Join(names(g.keys), " or ")))
		case !known:
			r.problem(at, unknown(name, g))
			meant[nearest(name, names(g.keys))] = true
		case g.kind == choice && chosen != "":
			r.problem(at, fmt.Sprintf("%s besides %s; expected exactly one of %s", name, chosen, strings.Join(names(g.keys), ", ")))
		default:
			chosen = name
			if k.pick != nil {
				k.pick(s)
			}
			r.value(k, entry, s, append(slices.Clone(path), name))
		}
	}
	for _, k := range g.keys {
		if _, there := seen[k.name]; k.required && !there && !meant[k.name] {
			r.problem(r.placeOf(m, path), fmt.Sprintf("%s is missing; expected %s: %s, for example", k.name, k.name, k.shown()))
		}
	}
}

// placeOf is where a mapping begins: at its first key, or where it should be.
func (r *reader) placeOf(m *ast.MappingNode, path []string) place {
	if len(m.Values) > 0 {
		return start(m)
	}
	return r.at[strings.Join(path, ".")]
}

// unknown says what is wrong with a key that a group does not have.
func unknown(name string, g key) string {
	text := "unknown key " + display(name)
	if near := nearest(name, names(g.keys)); near != "" {
		return text + "; did you mean " + near + "?"
	}
	if at := home(keys(), name); at != "" {
		return text + "; it belongs under " + at
	}
	if len(g.keys) == 0 {
		return text + "; expected none: " + g.name + " has nothing to set"
	}
	return text + "; expected one of " + strings.Join(names(g.keys), ", ")
}

// value reads what stands behind one key.
func (r *reader) value(k key, entry *ast.MappingValueNode, s *cluster.Spec, path []string) {
	at := start(entry.Value)
	r.at[strings.Join(path, ".")] = at
	switch k.kind {
	case word, number:
		if m, ok := mapping(entry.Value); ok && len(k.keys) > 0 && len(m.Values) > 0 {
			r.settings(k, m, s, path)
			return
		}
		r.scalar(k, entry.Value, s)
		return
	case list:
		r.list(k, entry.Value, s)
		return
	}
	m, ok := mapping(entry.Value)
	if !ok {
		r.problem(at, fmt.Sprintf("%s %s; %s", k.name, describe(entry.Value), expectedKeys(k)))
		return
	}
	switch {
	case k.kind == options:
		r.options(m, s, path)
	case k.kind == choice && len(m.Values) == 0:
		r.problem(start(entry.Key), fmt.Sprintf("%s is empty; expected one of %s", k.name, strings.Join(names(k.keys), ", ")))
	case k.some && len(m.Values) == 0:
		r.problem(start(entry.Key), fmt.Sprintf("%s is empty; expected at least one of %s", k.name, strings.Join(names(k.keys), ", ")))
	default:
		r.group(k, m, s, path...)
	}
}

func expectedKeys(k key) string {
	switch {
	case k.kind == choice:
		return fmt.Sprintf("expected keys with values, such as %s: {%s: {}}", k.name, k.keys[0].name)
	case k.kind == options:
		return "expected options with values, such as " + k.example
	case len(k.keys) == 0:
		return "expected {}: there is nothing to set"
	}
	return "expected keys with values: " + strings.Join(names(k.keys), ", ")
}

// scalar reads a word or a number.
func (r *reader) scalar(k key, n ast.Node, s *cluster.Spec) {
	v, ok := wordValue(n)
	if k.kind == number {
		v, ok = numberValue(n)
	}
	if !ok {
		r.problem(start(n), fmt.Sprintf("%s %s; expected %s", k.name, describe(n), expectedScalar(k, n)))
		return
	}
	if err := assign(k, s, v, r.file); err != nil {
		r.problem(start(n), fmt.Sprintf("%s %s: %s", k.name, display(v), err))
		return
	}
	if k.derived {
		r.derived[k.name] = v
	}
}

func wordValue(n ast.Node) (string, bool) {
	s, ok := n.(*ast.StringNode)
	if !ok {
		return "", false
	}
	return s.Value, true
}

// numberValue takes integers as people write them, in base ten; those beyond
// 64 bits are plain texts to the YAML parser.
func numberValue(n ast.Node) (string, bool) {
	t := n.GetToken()
	return t.Value, (t.Type == token.IntegerType || t.Type == token.StringType) && isWhole(t.Value)
}

func isWhole(text string) bool { return regexp.MustCompile(`^[-+]?[0-9]+$`).MatchString(text) }

// expectedScalar says what was expected where n stands.
func expectedScalar(k key, n ast.Node) string {
	if len(k.values) > 0 && k.kind == word {
		return strings.Join(k.values, " or ")
	}
	if k.kind == number {
		want := "a whole number: " + strings.Join(k.values, ", ")
		if len(k.values) == 0 {
			want = fmt.Sprintf("a whole number from %d to %d", k.least, k.most)
		}
		if v, ok := wordValue(n); ok && isWhole(v) {
			want += ", without quotes"
		}
		return want
	}
	if v, ok := optionValue(n); ok && k.takes(v) {
		return fmt.Sprintf("a string: put it in quotes, '%s'", v)
	}
	return "a string, such as " + k.example
}

// assign checks a value and puts it into the spec; file is where relative
// paths start.
func assign(k key, s *cluster.Spec, v, file string) error {
	if err := checkText(v); err != nil {
		return err
	}
	if k.kind == word && len(k.values) > 0 && !slices.Contains(k.values, v) {
		want := "expected " + strings.Join(k.values, " or ")
		if slices.Contains(k.later, v) {
			return fmt.Errorf("not in this version yet; %s", want)
		}
		return errors.New(want)
	}
	if k.isFile && checkPath(v) == nil {
		v = relativeTo(file, v)
	}
	return k.set(s, v)
}

// settings reads what stands in place of a word that has settings.
func (r *reader) settings(k key, m *ast.MappingNode, s *cluster.Spec, path []string) {
	c := key{name: k.name, kind: choice, keys: k.keys, later: k.later}
	r.group(c, m, s, path...)
	name := keyText(m.Values[0].Key)
	if _, known := find(k.keys, name); known && k.derived {
		r.derived[k.name] = name
	}
}

// options reads etcd's options: numbers stay as they are written.
func (r *reader) options(m *ast.MappingNode, s *cluster.Spec, path []string) {
	found := map[string]string{}
	for _, entry := range m.Values {
		name, at := keyText(entry.Key), start(entry.Value)
		if _, twice := found[name]; twice {
			r.problem(start(entry.Key), fmt.Sprintf("option %s is given twice; expected it once", display(name)))
			continue
		}
		r.at[strings.Join(append(slices.Clone(path), name), ".")] = at
		value, ok := optionValue(entry.Value)
		if !ok {
			r.problem(at, fmt.Sprintf("option %s %s; expected a string, a number, true or false", display(name), describe(entry.Value)))
			continue
		}
		found[name] = value
		if err := checkOption(name, value); err != nil {
			if !slices.Contains(option.Names(), name) {
				at = start(entry.Key)
			}
			r.problem(at, fmt.Sprintf("option %s: %s", display(name), err))
		}
	}
	if len(found) > 0 {
		s.Etcd.Options = found
	}
}

// optionValue is a scalar as etcd's flag parser reads it.
func optionValue(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, true
	case *ast.BoolNode:
		return fmt.Sprint(n.Value), true
	}
	return "", false
}

// mapping is a node as a mapping; nothing at all is an empty one, as when
// every key below is commented out.
func mapping(n ast.Node) (*ast.MappingNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n, true
	case *ast.MappingValueNode:
		return &ast.MappingNode{BaseNode: &ast.BaseNode{}, Start: n.Start, Values: []*ast.MappingValueNode{n}}, true
	case *ast.NullNode:
		return &ast.MappingNode{BaseNode: &ast.BaseNode{}, Start: n.Token}, true
	}
	return nil, false
}

// keyText is a key as text: 1 and true may be keys as well.
func keyText(n ast.MapKeyNode) string {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value
	}
	return n.GetToken().Value
}

// start is where a node begins in the file: the token of a block mapping is
// its first colon.
func start(n ast.Node) place {
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return start(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return start(m.Key)
	}
	p := n.GetToken().Position
	return place{line: p.Line, column: p.Column}
}

// describe names what stands where something else was expected.
func describe(n ast.Node) string {
	switch n := n.(type) {
	case *ast.NullNode:
		return "is empty"
	case *ast.SequenceNode:
		return "is a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "has keys of its own"
	case *ast.LiteralNode:
		return "is a string of several lines"
	case *ast.StringNode:
		return "is a string"
	case *ast.BoolNode:
		return fmt.Sprintf("is %t", n.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "is the number " + n.GetToken().Value
	}
	return "is a " + strings.ToLower(n.Type().String())
}
