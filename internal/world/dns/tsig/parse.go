package tsig

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Parse reads the one key of a text such as
//
//	key "name" {
//		algorithm hmac-sha256;
//		secret "base64";
//	};
//
// with the comments that BIND allows. Errors name lines and words but never
// what stands in the place of the secret.
func Parse(text []byte) (Key, error) {
	words, err := split(string(text))
	if err != nil {
		return Key{}, err
	}
	p := parser{words: words}
	p.expect("key")
	name := p.value("the key's name")
	p.expect("{")
	var algorithm, secret string
	for p.err == nil && !p.at("}") {
		field := p.value("algorithm or secret")
		switch {
		case p.err != nil:
		case field == "algorithm" && algorithm == "":
			algorithm = p.value("the algorithm")
		case field == "secret" && secret == "":
			secret = p.value("the secret")
		default:
			p.fail("one algorithm and one secret")
		}
		p.expect(";")
	}
	p.expect("}")
	p.expect(";")
	if p.err == nil && len(p.words) > 0 {
		p.fail("the end: the file must hold exactly one key")
	}
	if p.err != nil {
		return Key{}, p.err
	}
	raw, err := base64.StdEncoding.DecodeString(secret)
	if err != nil {
		return Key{}, fmt.Errorf("key %q: the secret is not base64", name)
	}
	return New(name, algorithm, raw)
}

// word is a token of named.conf's syntax with the line it stands on.
type word struct {
	text   string
	quoted bool
	line   int
}

type parser struct {
	words []word
	line  int
	err   error // the first; nothing is read after it
}

func (p *parser) fail(want string) {
	if p.err == nil {
		p.err = fmt.Errorf("line %d: want %s", p.line, want)
	}
}

func (p *parser) at(punctuation string) bool {
	return len(p.words) > 0 && !p.words[0].quoted && p.words[0].text == punctuation
}

func (p *parser) next() word {
	if len(p.words) == 0 {
		return word{}
	}
	w := p.words[0]
	p.words, p.line = p.words[1:], w.line
	return w
}

func (p *parser) expect(text string) {
	if p.err != nil {
		return
	}
	if found := p.at(text); !found {
		p.next()
		p.fail(fmt.Sprintf("%q", text))
		return
	}
	p.next()
}

func (p *parser) value(what string) string {
	if p.err != nil {
		return ""
	}
	w := p.next()
	if w.text == "" || !w.quoted && strings.ContainsAny(w.text, "{};") {
		p.fail(what)
	}
	return w.text
}

// split cuts a text into words: quoted strings, { } and ; and what stands
// between them. Comments run from # or // to the end of the line, or between
// /* and */.
func split(text string) ([]word, error) {
	var words []word
	line := 1
	for text != "" {
		n, quoted := 1, false
		switch c := text[0]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			line += strings.Count(text[:1], "\n")
			text = text[1:]
			continue
		case c == '#' || strings.HasPrefix(text, "//"):
			_, rest, _ := strings.Cut(text, "\n")
			text = "\n" + rest
			if rest == "" {
				text = ""
			}
			continue
		case strings.HasPrefix(text, "/*"):
			comment, rest, closed := strings.Cut(text[2:], "*/")
			if !closed {
				return nil, fmt.Errorf("line %d: a comment that is not closed", line)
			}
			line += strings.Count(comment, "\n")
			text = rest
			continue
		case c == '"':
			n = strings.IndexByte(text[1:], '"') + 2
			if n == 1 || strings.Contains(text[:n], "\n") {
				return nil, fmt.Errorf("line %d: a string that is not closed", line)
			}
			quoted = true
		case strings.IndexByte("{};", c) < 0:
			n = strings.IndexAny(text, " \t\r\n{};\"#")
			if n < 0 {
				n = len(text)
			}
		}
		words = append(words, word{text: strings.Trim(text[:n], `"`), quoted: quoted, line: line})
		text = text[n:]
	}
	if len(words) == 0 {
		return nil, errors.New(`the file is empty, want key "name" { algorithm hmac-sha256; secret "…"; };`)
	}
	return words, nil
}
