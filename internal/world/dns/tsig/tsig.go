// Package tsig holds the shared key between us and a name server, and signs
// and verifies DNS messages with it (RFC 8945). Package rfc2136 signs what it
// asks; package embedded verifies what it is asked.
//
// [ReadFile] reads a key as BIND's tsig-keygen writes it, [Generate] makes one.
// A key never prints its secret (rule R15), whatever verb it is printed with.
package tsig

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/system/given"
)

// Key is a named shared secret. Its zero value signs nothing.
type Key struct {
	name, algorithm string // canonical: lower case, trailing dot
	secret          string // base64, as miekg/dns takes it
}

// algorithms of RFC 8945, section 6, less hmac-md5, which it forbids.
func algorithms() []string {
	return []string{wire.HmacSHA256, wire.HmacSHA512, wire.HmacSHA384, wire.HmacSHA224, wire.HmacSHA1}
}

// New makes a key from a secret in memory. The algorithm is one such as
// "hmac-sha256".
func New(name, algorithm string, secret []byte) (Key, error) {
	k := Key{name: wire.CanonicalName(name), algorithm: wire.CanonicalName(algorithm), secret: base64.StdEncoding.EncodeToString(secret)}
	if _, ok := wire.IsDomainName(name); !ok || strings.Trim(k.name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" || k.name == "." {
		return Key{}, fmt.Errorf("TSIG key %q: its name must be a domain name of letters, digits, hyphens and underscores", name)
	}
	if !slices.Contains(algorithms(), k.algorithm) {
		return Key{}, fmt.Errorf("TSIG key %q: algorithm %q; this pleiad knows %s", name, algorithm, strings.ReplaceAll(strings.Join(algorithms(), " "), ".", ""))
	}
	if len(secret) == 0 {
		return Key{}, fmt.Errorf("TSIG key %q: the secret is empty", name)
	}
	return k, nil
}

// Generate makes a new random key for HMAC-SHA256.
func Generate(name string) (Key, error) {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails: crypto/rand
	return New(name, wire.HmacSHA256, secret)
}

// ReadFile reads the one key of a file in the format of BIND's tsig-keygen.
func ReadFile(ctx context.Context, path string) (Key, error) {
	text, err := given.Read(ctx, path, given.Key)
	if err != nil {
		return Key{}, fmt.Errorf("read TSIG key: %w", err)
	}
	k, err := Parse(text)
	if err != nil {
		return Key{}, fmt.Errorf("read TSIG key %s: %w", path, err)
	}
	return k, nil
}

// Name of the key, lower case, with trailing dot.
func (k Key) Name() string { return k.name }

// Encode is the key as tsig-keygen writes it, secret included.
func (k Key) Encode() []byte {
	return fmt.Appendf(nil, "key %q {\n\talgorithm %s;\n\tsecret %q;\n};\n",
		strings.TrimSuffix(k.name, "."), strings.TrimSuffix(k.algorithm, "."), k.secret)
}

// Format prints name and algorithm for every verb, so that the secret stays
// out of logs and errors even where a struct around it is printed.
func (k Key) Format(f fmt.State, _ rune) {
	io.WriteString(f, "TSIG key "+strings.TrimSuffix(k.name, ".")+" ("+strings.TrimSuffix(k.algorithm, ".")+")")
}

// fudge is how far two clocks may differ, in seconds (RFC 8945, section 10).
const fudge = 300

// Sign packs and signs a message. The MAC of a question goes into the
// signature of its answer; it is "" for a question. The message is used up.
func (k Key) Sign(m *wire.Msg, questionMAC string) (packed []byte, mac string, err error) {
	return k.sign(m, questionMAC, wire.RcodeSuccess, time.Now())
}

// SignFault packs an answer to a message whose signature [Key.Verify] found at
// fault, given that message's TSIG record. Only an answer to BADTIME is
// signed; the others cannot be (RFC 8945, section 5.3.2).
func (k Key) SignFault(m *wire.Msg, asked *wire.TSIG, fault Fault) ([]byte, error) {
	if fault == BadTime {
		packed, _, err := k.sign(m, asked.MAC, uint16(fault), time.Unix(int64(asked.TimeSigned), 0))
		return packed, err
	}
	echo := Key{name: asked.Hdr.Name, algorithm: asked.Algorithm, secret: "unused"}
	packed, _, err := echo.sign(m, asked.MAC, uint16(fault), time.Unix(int64(asked.TimeSigned), 0))
	return packed, err
}

func (k Key) sign(m *wire.Msg, questionMAC string, fault uint16, at time.Time) ([]byte, string, error) {
	m.SetTsig(k.name, k.algorithm, fudge, at.Unix())
	record := m.IsTsig()
	record.Error = fault
	if Fault(fault) == BadTime {
		record.OtherLen, record.OtherData = 6, fmt.Sprintf("%012x", time.Now().Unix())
	}
	packed, mac, err := wire.TsigGenerate(m, k.secret, questionMAC, false)
	if err != nil {
		return nil, "", fmt.Errorf("sign with %s: %w", k, err)
	}
	return packed, mac, nil
}
