package shell_test

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

var nasty = []string{
	"", "plain", "two words", " ", "\t", "\n", "a\nb\n", "'", "''", `\`, `\'`, `"`, "`id`", "$(id)", "$HOME", "!!", "a;b", "a&b", "|", "*", "?", "[a]", "~", "~root",
	"#", "=", "-n", "--", "%s", "ü€\U0001F600", "\x01\x7f\xff", "{a,b}", "<in >out", `it's "here" $x \n`, strings.Repeat("'x", 1000),
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for _, s := range nasty {
		out, err := exec.Command("sh", "-c", "printf %s "+shell.Quote(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q: sh makes %q of %s (%v)", s, out, shell.Quote(s), err)
		}
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	if got, want := shell.Line("ssh", "-i", "my key", "-p", "22"), "ssh -i 'my key' -p 22"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func FuzzQuote(f *testing.F) {
	for _, s := range nasty {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) || len(s) > 1<<16 {
			return // no argument can hold it
		}
		out, err := exec.Command("sh", "-c", "printf %s "+shell.Quote(s)).Output()
		if err != nil || !bytes.Equal(out, []byte(s)) {
			t.Errorf("%q: sh makes %q of it (%v)", s, out, err)
		}
	})
}
