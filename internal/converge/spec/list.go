package spec

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// list reads a list of words, block or flow, or the one word that stands for it. Nothing at all is an empty one, as
// when every item is commented out. A list with a problem stays empty, so that
// nobody counts what is left of it.
func (r *reader) list(k key, n ast.Node, s *cluster.Spec) {
	nodes, ok := listed(k, n)
	switch {
	case !ok:
		r.problem(start(n), fmt.Sprintf("%s %s; expected %s", k.name, describe(n), k.wanted()))
		return
	case len(nodes) == 0 && k.required:
		r.problem(start(n), fmt.Sprintf("%s is empty; expected %s", k.name, k.wanted()))
	}
	var items []string
	first := map[string]place{}
	for _, node := range nodes {
		item, err := r.item(k, node)
		at, twice := first[item]
		switch {
		case err != nil:
			r.problem(start(node), err.Error())
		case twice:
			r.problem(start(node), fmt.Sprintf("%s %s is given twice; expected it once, and it is on line %d, column %d", k.name, display(item), at.line, at.column))
		default:
			first[item] = start(node)
			items = append(items, item)
		}
	}
	if len(items) == len(nodes) {
		k.put(s, items)
	}
}

// listed are the items that stand behind the key of a list.
func listed(k key, n ast.Node) ([]ast.Node, bool) {
	switch n := n.(type) {
	case *ast.SequenceNode:
		return n.Values, true
	case *ast.NullNode:
		return nil, true
	case *ast.StringNode:
		return []ast.Node{n}, k.single
	}
	return nil, false
}

// item is one word of a list as it is kept.
func (r *reader) item(k key, n ast.Node) (string, error) {
	v, ok := wordValue(n)
	if m, isMapping := mapping(n); isMapping && !m.IsFlowStyle && len(m.Values) > 0 {
		return "", fmt.Errorf("%s: an item that YAML takes for a key, because of its colons; expected a string: put it in quotes", k.name)
	}
	if !ok {
		return "", fmt.Errorf("%s: an item %s; expected %s", k.name, describe(n), expectedScalar(k, n))
	}
	err := checkText(v)
	if err == nil {
		var item string
		if item, err = k.item(v); err == nil {
			return item, nil
		}
	}
	return "", fmt.Errorf("%s %s: %w", k.name, display(v), err)
}
