package foreign

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// hostile has one of each kind, and what is no harm between them.
const hostile = "a\tä\x1b[31m\a\b\x7f\u0085\u009b2J\u202e\u2066\u200f\u061c\u2028\u2029\r\x00z\xffé€𝄞"

func wantHarmless(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Errorf("not UTF-8: %q", s)
	}
	for _, r := range s {
		if strings.ContainsRune("\x1b\a\b\x7f\u0085\u009b\u202e\u2066\u200f\u061c\u2028\u2029\r\x00", r) {
			t.Errorf("%U is left in %q", r, s)
		}
	}
}

func TestText(t *testing.T) {
	got := Text(hostile + "\n")
	wantHarmless(t, got)
	const want = "a\tä�[31m����" + "�2J������" + "��z�é€𝄞�"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestJSON(t *testing.T) {
	raw, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	got := JSON(append(raw, '\n'))
	wantHarmless(t, string(got))
	var before, after string
	if err := errors.Join(json.Unmarshal(raw, &before), json.Unmarshal(got, &after)); err != nil || before != after {
		t.Errorf("%q became %q, %v", before, after, err)
	}
	if got[len(got)-1] != '\n' {
		t.Error("the end of the line is gone")
	}
}

// However text is cut into pieces, it comes out the same, and at once.
func TestWriter(t *testing.T) {
	text := hostile + "\n" + strings.Repeat(hostile, 3) + "\n"
	want := Text(hostile) + "\n" + strings.Repeat(Text(hostile), 3) + "\n"
	for size := range 7 {
		var out strings.Builder
		w := Writer(&out)
		for rest := text; rest != ""; {
			n := min(size+1, len(rest))
			if m, err := w.Write([]byte(rest[:n])); m != n || err != nil {
				t.Fatal(m, err)
			}
			rest = rest[n:]
		}
		if out.String() != want {
			t.Errorf("in pieces of %d: %q, want %q", size+1, out.String(), want)
		}
	}
	var out strings.Builder
	if _, err := Writer(&out).Write([]byte("go on? ")); err != nil || out.String() != "go on? " {
		t.Errorf("a question waits: %q, %v", out.String(), err)
	}
	if n, err := Writer(failing{}).Write([]byte("x")); n != 0 || !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("%d, %v", n, err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, iotest.ErrTimeout }
