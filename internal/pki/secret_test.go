package pki

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// Rule R15: nothing that holds a key shows it, however it is printed.
func TestPrintingShowsNoKey(t *testing.T) {
	ca := newPeerCA(t)
	scalar, err := ca.key.private.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	forms := []string{
		new(big.Int).SetBytes(scalar).String(), hex.EncodeToString(scalar), fmt.Sprint(scalar), base64.StdEncoding.EncodeToString(scalar),
		strings.Split(string(ca.Key().PEM()), "\n")[1], hex.EncodeToString(ca.Key().PEM()), fmt.Sprint([]byte(ca.Key().PEM())),
		base64.StdEncoding.EncodeToString(ca.Key().PEM()),
	}
	key, pem := ca.Key(), ca.Key().PEM()
	if have := fmt.Sprintf("%v %#v %d %s %x", key, &key, key, pem, pem); have != strings.TrimSuffix(strings.Repeat(withheld+" ", 5), " ") {
		t.Errorf("a key prints as %q", have)
	}
	for _, v := range []any{ca, &ca, ca.CA, &ca.CA, key, &key, pem, &pem, []any{ca, key, pem}, struct {
		CA  PeerCA
		Key Key
		PEM Secret
	}{ca, key, pem}} {
		var out strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		for _, f := range forms {
			if strings.Contains(strings.ToLower(out.String()), strings.ToLower(f)) {
				t.Errorf("%T printed shows the key", v)
			}
		}
	}
}

func FuzzParseKeyTellsNothing(f *testing.F) {
	f.Add([]byte(newKey(f).PEM()))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nc2VjcmV0IGtleQ==\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0IGtleQ==\n-----END EC PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nc2VjcmV0IGtleQ==\n-----END CERTIFICATE-----\n"))
	texts := map[string]bool{
		"CA key: empty": true, "CA key: no PEM block": true, "CA key: more than one PEM block": true, "CA key: text before the PEM block": true,
		`CA key: the PEM block is not of type "PRIVATE KEY" (PKCS #8)`: true,
		"CA key: the PEM block holds no PKCS #8 key":                   true, "CA key: want an ECDSA key on P-256": true,
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseKey("CA key", b)
		if err != nil {
			// The text depends on nothing in the file.
			if !texts[err.Error()] {
				t.Errorf("error %q", err)
			}
			return
		}
		if _, err := ParseKey("CA key", k.PEM()); err != nil {
			t.Errorf("a key that was read cannot be read again: %v", err)
		}
	})
}
