package route53

import (
	"fmt"
	"strings"
)

// maxString is the longest character-string of a text, in bytes (RFC 1035, section
// 3.3).
const maxString = 255

// quote is a text as Route 53 takes it: quoted strings with a space between them.
// Codes of other characters are octal, unlike those of a zone file.
func quote(text string) string {
	var b strings.Builder
	for first := true; first || text != ""; first = false {
		if !first {
			b.WriteByte(' ')
		}
		n := min(len(text), maxString)
		b.WriteByte('"')
		for _, c := range []byte(text[:n]) {
			switch {
			case c == '"' || c == '\\':
				b.Write([]byte{'\\', c})
			case c < ' ' || c > '~':
				fmt.Fprintf(&b, `\%03o`, c)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
		text = text[n:]
	}
	return b.String()
}

// unquote is the text of what [quote] or somebody else wrote: its strings joined.
func unquote(value string) (string, error) {
	var b strings.Builder
	inside, ended := false, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			inside, ended = !inside, inside
		case !inside && (c == ' ' || c == '\t'):
		case !inside:
			return "", fmt.Errorf("text %.40q: want quoted strings", value)
		case c == '\\':
			n, decoded := escaped(value[i:])
			b.WriteByte(decoded)
			i += n - 1
		default:
			b.WriteByte(c)
		}
	}
	if inside || !ended {
		return "", fmt.Errorf("text %.40q: a quoted string without its end", value)
	}
	return b.String(), nil
}

// escaped is the character behind a backslash at the beginning of s: an octal code of
// three digits, or itself; and how many bytes stand for it.
func escaped(s string) (n int, c byte) {
	octal := func(c byte) bool { return '0' <= c && c <= '7' }
	switch {
	case len(s) >= 4 && '0' <= s[1] && s[1] <= '3' && octal(s[2]) && octal(s[3]):
		return 4, (s[1]-'0')<<6 | (s[2]-'0')<<3 | (s[3] - '0')
	case len(s) >= 2:
		return 2, s[1]
	}
	return 1, '\\'
}
