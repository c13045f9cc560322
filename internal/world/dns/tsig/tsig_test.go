package tsig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// secret is 0123456789abcdef; no error or log may hold it in either form.
const secret = "MDEyMzQ1Njc4OWFiY2RlZg=="

func TestParseReadsWhatEncodeAndOthersWrite(t *testing.T) {
	want, err := New("etcd", "hmac-sha256", []byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"own":          string(want.Encode()),
		"tsig-keygen":  "key \"etcd\" {\n\talgorithm hmac-sha256;\n\tsecret \"" + secret + "\";\n};\n",
		"one line":     `key etcd{secret ` + secret + `;algorithm "hmac-sha256";};`,
		"comments":     "# one\n// two\n/* three\n*/ key \"ETCD.\" { # four\n algorithm HMAC-SHA256.; secret \"" + secret + "\"; /**/ };//",
		"CR LF":        "key \"etcd\" {\r\n\talgorithm hmac-sha256;\r\n\tsecret \"" + secret + "\";\r\n};\r\n",
		"no last line": "key \"etcd\" { algorithm hmac-sha256; secret \"" + secret + "\"; }; # end",
	} {
		if got, err := Parse([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestParseSaysWhereItIsWrongAndKeepsTheSecret(t *testing.T) {
	for text, want := range map[string]string{
		``:             "the file is empty",
		`zone "a" {};`: `line 1: want "key"`,
		"key \"a\" {\n  algorithm hmac-sha256;\n  secret \"" + secret + "\"\n};":                `line 4: want ";"`,
		`key "a" { algorithm hmac-md5; secret "` + secret + `"; };`:                             `algorithm "hmac-md5"`,
		`key "a" { secret "` + secret + `"; };`:                                                 `algorithm ""`,
		`key "a" { algorithm hmac-sha256; };`:                                                   "the secret is empty",
		`key "a" { algorithm hmac-sha256; secret "` + secret[:5] + `!"; };`:                     "the secret is not base64",
		`key "a" { algorithm hmac-sha256; secret "` + secret + `"; }; key "b" {`:                "exactly one key",
		`key "a" { algorithm hmac-sha256; secret "` + secret + `"; secret "` + secret + `"; };`: "one algorithm and one secret",
		`key "a" { algorithm hmac-sha256; algorithm hmac-sha256; secret "` + secret + `"; };`:   "one algorithm and one secret",
		`key "a" { algorithm hmac-sha256; secret "` + secret:                                    "line 1: a string that is not closed",
		"\n/* key": "line 2: a comment that is not closed",
		`key "a..b" { algorithm hmac-sha256; secret "` + secret + `"; };`: "must be a domain name",
		`key { algorithm hmac-sha256; };`:                                 "want the key's name",
		`key "a" { algorithm`:                                             "want the algorithm",
		`key "a"`:                                                         `want "{"`,
	} {
		_, err := Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		} else if strings.Contains(err.Error(), secret[:5]) {
			t.Errorf("%q: the error holds the secret: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`key "a" { algorithm hmac-sha256; secret "` + secret + `"; };`))
	f.Add([]byte("key a{algorithm hmac-sha512;secret AA==;};//#/*"))
	f.Add([]byte("/* \n */ # \n key \"\" { } ; \""))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(k.Encode()); err != nil || again != k {
			t.Errorf("%q: read as %v, written and read again as %v, %v", text, k, again, err)
		}
	})
}

func TestReadFile(t *testing.T) {
	k, err := Generate("pleiad")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tsig.key")
	if err := os.WriteFile(path, k.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadFile(t.Context(), path); err != nil || got != k {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ReadFile(t.Context(), path+"x"); err == nil || !strings.Contains(err.Error(), path+"x") {
		t.Errorf("file that is not there: %v", err)
	}
	if _, err := ReadFile(t.Context(), "/dev/zero"); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a file without end: %v", err)
	}
	if other, _ := Generate("pleiad"); other == k {
		t.Error("two generated keys are the same")
	}
}

func TestKeyNeverPrintsItsSecret(t *testing.T) {
	k, _ := New("etcd", "hmac-sha256", []byte("0123456789abcdef"))
	around := struct {
		Key Key
		P   *Key
	}{k, &k}
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("key", "key", k, "around", around)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("key", "key", k, "around", around)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb, k, around)
	}
	text, _ := json.Marshal(around)
	out.Write(text)
	for _, leak := range []string{"MDEy", "0123456789", "4d444579"} {
		if strings.Contains(strings.ToLower(out.String()), strings.ToLower(leak)) {
			t.Errorf("the secret shows as %q in %s", leak, out.String())
		}
	}
	if got := k.Name(); got != "etcd." {
		t.Errorf("name %q", got)
	}
}

func TestSignAndVerify(t *testing.T) {
	k, _ := Generate("etcd")
	namesake, _ := Generate("etcd")
	other, _ := Generate("other")
	weak, _ := New("etcd", "hmac-sha1", []byte("0123456789abcdef"))
	packed, mac, err := k.Sign(new(wire.Msg).SetUpdate("twindb.com."), "")
	if err != nil {
		t.Fatal(err)
	}
	record := signature(t, packed)
	for name, test := range map[string]struct {
		key  Key
		want Fault
	}{"right": {k, None}, "secret": {namesake, BadSignature}, "name": {other, BadKey}, "algorithm": {weak, BadKey}} {
		if got := test.key.Verify(packed, record, ""); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	packed[2] ^= 1
	if got := k.Verify(packed, record, ""); got != BadSignature {
		t.Errorf("a changed message: %v", got)
	}
	answer, _, err := k.Sign(new(wire.Msg), mac)
	if err != nil {
		t.Fatal(err)
	}
	if got := k.Verify(answer, signature(t, answer), mac); got != None {
		t.Errorf("answer: %v", got)
	}
	if got := k.Verify(answer, signature(t, answer), strings.Repeat("0", len(mac))); got != BadSignature {
		t.Errorf("answer to another question: %v", got)
	}
	old, _, err := k.sign(new(wire.Msg), "", 0, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if got := k.Verify(old, signature(t, old), ""); got != BadTime {
		t.Errorf("an hour old: %v", got)
	}
}

func TestFaultsAreToldInTheAnswer(t *testing.T) {
	k, _ := Generate("etcd")
	packed, mac, err := k.Sign(new(wire.Msg).SetUpdate("twindb.com."), "")
	if err != nil {
		t.Fatal(err)
	}
	asked := signature(t, packed)
	for _, fault := range []Fault{BadKey, BadSignature, BadTime} {
		answer, err := k.SignFault(new(wire.Msg), asked, fault)
		if err != nil {
			t.Fatal(err)
		}
		got := signature(t, answer)
		if Fault(got.Error) != fault || got.TimeSigned != asked.TimeSigned && fault == BadTime {
			t.Errorf("%v: answered with %v", fault, got)
		}
		signed := k.Verify(answer, got, mac) == None
		if signed != (fault == BadTime) {
			t.Errorf("%v: signed %v; only BADTIME is (RFC 8945, section 5.3.2)", fault, signed)
		}
		if (got.OtherLen == 6) != (fault == BadTime) {
			t.Errorf("%v: other data %q; BADTIME tells the server's time", fault, got.OtherData)
		}
	}
}

func TestOfWantsTheRecordLast(t *testing.T) {
	signed := func() *wire.Msg {
		m := new(wire.Msg)
		return m.SetTsig("etcd.", wire.HmacSHA256, 300, 1)
	}
	if r, err := Of(new(wire.Msg)); r != nil || err != nil {
		t.Errorf("unsigned: %v, %v", r, err)
	}
	if r, err := Of(signed()); r == nil || err != nil {
		t.Errorf("signed: %v, %v", r, err)
	}
	for name, spoil := range map[string]func(*wire.Msg){
		"not last":  func(m *wire.Msg) { m.SetEdns0(1232, false) },
		"twice":     func(m *wire.Msg) { m.Extra = append(m.Extra, m.Extra[0]) },
		"answer":    func(m *wire.Msg) { m.Answer, m.Extra = m.Extra, nil },
		"authority": func(m *wire.Msg) { m.Ns = m.Extra },
	} {
		m := signed()
		spoil(m)
		if _, err := Of(m); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func signature(t *testing.T, packed []byte) *wire.TSIG {
	t.Helper()
	var m wire.Msg
	if err := m.Unpack(packed); err != nil {
		t.Fatal(err)
	}
	r, err := Of(&m)
	if err != nil || r == nil {
		t.Fatalf("%v, %v", r, err)
	}
	return r
}
