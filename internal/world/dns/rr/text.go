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
