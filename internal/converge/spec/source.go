package spec

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxSize is how long a spec may be, in bytes. This and maxDepth bound what is
// handed to the YAML parser, which takes time and stack that grow faster than
// its input. A spec with every key explained has 3 kB.
const MaxSize = 16 << 10

const (
	maxDepth = 10 // brackets, or dashes on a line, within each other
)

// document is the one mapping that the file is, or nil with problems that say
// why there is none.
func (r *reader) document(data []byte) *ast.MappingNode {
	if !r.readable(data) {
		return nil
	}
	tokens := lexer.Tokenize(strings.Join(r.lines, "\n") + "\n")
	if !r.simple(tokens) {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil
	}
	var body ast.Node
	for _, d := range file.Docs {
		if d.Body != nil {
			body = d.Body
		}
	}
	if body == nil {
		r.problem(place{line: 0}, "empty; expected at least cluster and domain, or no file at all")
		return nil
	}
	root, ok := mapping(body)
	if !ok {
		text := fmt.Sprintf("the file %s; expected keys with values, such as cluster: dev", describe(body))
		if s, isText := body.(*ast.StringNode); isText && strings.Contains(s.Value, ":") {
			text = "a key without a value; expected a space after the colon"
		}
		r.problem(start(body), text)
		return nil
	}
	return root
}

// readable splits the file into lines and says whether it is text that YAML
// can be read from.
func (r *reader) readable(data []byte) bool {
	if len(data) > MaxSize {
		r.problem(place{}, fmt.Sprintf("%d bytes long; expected a spec, of at most %d", len(data), MaxSize))
		return false
	}
	text := string(bytes.TrimPrefix(data, []byte("\ufeff"))) // the byte order mark that editors leave
	r.lines = strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, line := range r.lines {
		indent := true
		for column, c := range []rune(line) {
			at := place{line: i + 1, column: column + 1}
			switch {
			case c == utf8.RuneError && !utf8.ValidString(line):
				r.problem(at, "not UTF-8; expected text")
			case c == '\t' && indent:
				r.problem(at, "a tab; expected spaces, since YAML does not indent with tabs")
			case c != '\t' && (unicode.IsControl(c) || c == '\u2028' || c == '\u2029' || c == '\ufeff'):
				r.problem(at, fmt.Sprintf("control character %U; expected text", c))
			default:
				indent = indent && c == ' '
				continue
			}
			break // one problem a line is enough
		}
	}
	return len(r.problems) == 0
}

// simple refuses the parts of YAML that make one file mean several things or
// hide what it means, and nesting that no spec has.
func (r *reader) simple(tokens token.Tokens) bool {
	why := map[token.Type]string{
		token.AnchorType:     "an anchor; expected the value itself wherever it is meant",
		token.AliasType:      "an alias; expected the value itself wherever it is meant",
		token.MergeKeyType:   "a merge key; expected the keys themselves",
		token.TagType:        "a tag; expected a plain value",
		token.DirectiveType:  "a directive; expected only keys and values",
		token.MappingKeyType: "a key that begins with ?; expected KEY: VALUE",
	}
	var depth, dashes, dashLine int
	var content, ended bool
	for _, t := range tokens {
		at := place{line: t.Position.Line, column: t.Position.Column}
		if text, refused := why[t.Type]; refused {
			r.problem(at, text)
			if t.Type == token.DirectiveType {
				break // what follows on its line looks like a document
			}
		}
		switch t.Type {
		case token.CommentType:
			continue
		case token.DocumentHeaderType, token.DocumentEndType:
			ended = content
			continue
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			if t.Position.Line != dashLine {
				dashLine, dashes = t.Position.Line, 0
			}
			dashes++
		}
		if ended {
			r.problem(at, "a second document; expected one cluster in one file")
			break
		}
		content = true
		if depth > maxDepth || dashes > maxDepth {
			r.problem(at, "nested too deep; expected a spec")
			break
		}
	}
	return len(r.problems) == 0
}

// syntax makes a problem of what the YAML parser says.
func (r *reader) syntax(err error) {
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil {
		r.problem(place{}, "not YAML: "+err.Error())
		return
	}
	const align = "out of place; expected the keys of one mapping to begin in one column"
	t, text := e.GetToken(), e.GetMessage()
	at := place{line: t.Position.Line, column: t.Position.Column}
	switch text {
	case "mapping value is not allowed in this context":
		text = "a key within a value; expected quotes around a string that holds a colon and a space"
		if t.Next != nil && t.Next.Position.Line > at.line && t.Next.Position.Line <= len(r.lines) { // the text went on on the next line
			at.line, text = t.Next.Position.Line, align
			at.column = 1 + len(r.lines[at.line-1]) - len(strings.TrimLeft(r.lines[at.line-1], " "))
		}
	case "non-map value is specified":
		text = "a string where a key belongs; expected KEY: VALUE, or a space after the dash of an item"
	case "value is not allowed in this context", "value is not allowed in this context. map key-value is pre-defined":
		text = align
	}
	r.problem(r.visible(at), "not YAML: "+text)
}

// visible is a place, or where the last text before it begins if there is
// none: the parser counts the line break after a text to it.
func (r *reader) visible(at place) place {
	for n := min(at.line, len(r.lines)); n > 0; n-- {
		if line := r.lines[n-1]; strings.TrimSpace(line) != "" {
			if n < at.line {
				return place{line: n, column: 1 + len(line) - len(strings.TrimLeft(line, " "))}
			}
			break
		}
	}
	return at
}
