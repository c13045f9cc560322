package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
)

// PEM block types (RFC 7468, sections 5 and 10).
const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY"
)

const withheld = "(key withheld)"

// Secret is a key in PEM (PKCS #8). It can be assigned to a []byte to be
// written; printed or encoded as JSON it shows nothing.
type Secret []byte

// Format implements fmt.Formatter.
func (Secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, withheld) }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(withheld), nil }

// PEM is the key as it is stored.
func (k Key) PEM() Secret {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", k.private, err)) // a P-256 key always encodes
	}
	return encode(keyBlock, der)
}

// ParseCertificate reads one certificate in PEM. Errors begin with its role,
// such as "CA certificate".
func ParseCertificate(role string, b []byte) (*x509.Certificate, error) {
	der, err := decode(role, certificateBlock, b)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", role, err)
	}
	return cert, nil
}

// ParseKey reads one key in PEM. Errors begin with its role, such as "CA key".
// They do not carry what crypto/x509 says, which is about the bytes of the key.
func ParseKey(role string, b []byte) (Key, error) {
	der, err := decode(role, keyBlock, b)
	if err != nil {
		return Key{}, err
	}
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return Key{}, fmt.Errorf("%s: the PEM block holds no PKCS #8 key", role)
	}
	private, ok := k.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return Key{}, fmt.Errorf("%s: want an ECDSA key on P-256", role)
	}
	return Key{private: private}, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// decode wants exactly one block and nothing else, so that a file which was
// written half or put together by hand is noticed here and not by etcd.
func decode(role, kind string, b []byte) ([]byte, error) {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, fmt.Errorf("%s: empty", role)
	}
	block, rest := pem.Decode(b)
	switch {
	case block == nil:
		return nil, fmt.Errorf("%s: no PEM block", role)
	case block.Type != kind && kind == certificateBlock:
		return nil, fmt.Errorf("%s: the PEM block is not of type %q", role, kind)
	case block.Type != kind:
		return nil, fmt.Errorf("%s: the PEM block is not of type %q (PKCS #8)", role, kind)
	case len(bytes.TrimSpace(rest)) != 0:
		return nil, fmt.Errorf("%s: more than one PEM block", role)
	case !bytes.HasPrefix(bytes.TrimSpace(b), []byte("-----BEGIN ")):
		return nil, fmt.Errorf("%s: text before the PEM block", role)
	}
	return block.Bytes, nil
}
