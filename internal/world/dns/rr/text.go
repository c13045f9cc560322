package rr

import (
	"fmt"
	"strings"
)

// maxString is the longest character-string, in bytes (RFC 1035, section 3.3),
// and maxText the longest text whose strings, each with its length byte, fit
// into the 65,535 bytes of a record's data.
const (
	maxString = 255
	maxText   = 65535 - 65535/(maxString+1) - 1
)

// split cuts a text into character-strings as miekg/dns holds them: in
// presentation format, where a backslash escapes.
func split(text string) []string {
	var out []string
	for first := true; first || text != ""; first = false {
		n := min(len(text), maxString)
		out = append(out, escape(text[:n]))
		text = text[n:]
	}
	return out
}

// join is the text of character-strings.
func join(parts []string) string {
	var b strings.Builder
	for _, p := range parts {
		unescape(&b, p)
	}
	return b.String()
}

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, "\\%03d", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unescape(b *strings.Builder, s string) {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i+2 < len(s) && digit(s[i]) && digit(s[i+1]) && digit(s[i+2]) {
			b.WriteByte((s[i]-'0')*100 + (s[i+1]-'0')*10 + (s[i+2] - '0'))
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// Quote is a text as a zone file has it (RFC 1035, section 5.1): quoted
// character-strings of ASCII, a space between them.
func Quote(text string) string {
	return `"` + strings.Join(split(text), `" "`) + `"`
}

// Unquote is the text of what [Quote] or somebody else wrote: quoted strings
// are joined, and what does not begin with a quote is the text itself.
func Unquote(content string) (string, error) {
	if !strings.HasPrefix(content, `"`) {
		return content, nil
	}
	var b strings.Builder
	for rest := strings.TrimRight(content, " \t"); rest != ""; {
		if rest[0] != '"' {
			return "", fmt.Errorf("text %.40q: want a quote after a quoted string", content)
		}
		end := closing(rest)
		if end < 0 {
			return "", fmt.Errorf("text %.40q: a quoted string without its end", content)
		}
		unescape(&b, rest[1:end])
		rest = strings.TrimLeft(rest[end+1:], " \t")
	}
	return b.String(), nil
}

// closing is where the quote stands that ends the quoted string at the
// beginning of s; -1 if none does.
func closing(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}
