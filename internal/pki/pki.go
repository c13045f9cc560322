// Package pki is the public key infrastructure of one cluster: a CA of its
// own, a certificate for each member, and one for pleiad itself, the operator.
// It stands beside the loop: the control side's home keeps the CA and issues
// with it, delivery carries the results to hosts, and observation reads from
// them how long they are valid ([Window]).
//
// [NewCA] first, then [NewKey] and [CA.IssueMember] for each member. Keys are
// ECDSA on P-256, certificates and keys are PEM, and time and randomness come
// from the caller; nothing here touches files. Since Go 1.26 the standard
// library makes keys and signatures from the system's own randomness whatever
// reader it is given (crypto/ecdsa.GenerateKey), so the reader decides serial
// numbers only; tests that need the same bytes twice use testing/cryptotest.
//
// Promised: no error and no printed value of this package holds key material
// (rule R15).
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Lives of certificates. A CA is exchanged by a rotation that touches every
// host, a leaf by issuing another.
const (
	caYears   = 10
	leafYears = 1
	// skew is how far a host's clock may be behind the control side's: a
	// certificate is valid from that long before it was made.
	skew = 5 * time.Minute
)

// OperatorName is the common name of the certificate that pleiad presents to
// members. With etcd's authentication turned on it is the user's name.
const OperatorName = "pleiad"

// CA signs the certificates of one cluster.
type CA struct {
	cert *x509.Certificate
	pem  []byte
	key  Key
}

// NewCA makes the CA of a cluster, valid for ten years. It may sign leaves
// only, no further CAs.
func NewCA(random io.Reader, now time.Time, name cluster.Name) (CA, error) {
	key, err := NewKey(random)
	if err != nil {
		return CA{}, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "pleiad CA of " + string(name)},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.AddDate(caYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(random, template, template, key.private.Public(), key.private)
	if err != nil {
		return CA{}, fmt.Errorf("make CA of cluster %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return CA{}, fmt.Errorf("make CA of cluster %s: %w", name, err)
	}
	return CA{cert: cert, pem: encode(certificateBlock, der), key: key}, nil
}

// ParseCA reads a CA from its certificate and key in PEM. It is an error if
// the two do not belong together or the certificate is no CA's.
func ParseCA(cert, key []byte) (CA, error) {
	c, err := ParseCertificate("CA certificate", cert)
	if err != nil {
		return CA{}, err
	}
	if !c.IsCA || !c.BasicConstraintsValid {
		return CA{}, errors.New("CA certificate: it is not a CA's")
	}
	k, err := ParseKey("CA key", key)
	if err != nil {
		return CA{}, err
	}
	if !k.Matches(c) {
		return CA{}, errors.New("CA key: it does not belong to the CA certificate")
	}
	return CA{cert: c, pem: encode(certificateBlock, c.Raw), key: k}, nil
}

// Certificate is the CA's certificate; not to be changed.
func (ca CA) Certificate() *x509.Certificate { return ca.cert }

// PEM is the CA's certificate as members and clients trust it.
func (ca CA) PEM() []byte { return slices.Clone(ca.pem) }

// Key is the CA's key. It never leaves the control side (rule R15).
func (ca CA) Key() Key { return ca.key }

// Issued says whether this CA signed a certificate.
func (ca CA) Issued(cert *x509.Certificate) bool { return cert.CheckSignatureFrom(ca.cert) == nil }

// IssueMember makes the certificate of a member, in PEM, valid for a year for
// all the given host names and IP addresses. It serves for both ends of a
// connection: a member is a server to clients and both to its peers.
func (ca CA) IssueMember(random io.Reader, now time.Time, key Key, name cluster.MemberName, names []string) ([]byte, error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: string(name)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if err := setNames(template, names); err != nil {
		return nil, fmt.Errorf("issue certificate of member %s: %w", name, err)
	}
	b, err := ca.issue(random, now, key, template)
	if err != nil {
		return nil, fmt.Errorf("issue certificate of member %s: %w", name, err)
	}
	return b, nil
}

// IssueOperator makes the certificate of pleiad itself, in PEM, valid for a
// year, good for nothing but being a client.
func (ca CA) IssueOperator(random io.Reader, now time.Time, key Key) ([]byte, error) {
	b, err := ca.issue(random, now, key, &x509.Certificate{
		Subject:     pkix.Name{CommonName: OperatorName},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, fmt.Errorf("issue certificate of the operator: %w", err)
	}
	return b, nil
}

// issue signs a leaf. It never outlives the CA: a chain is valid only while
// both are, and the renewal point must not lie beyond that.
func (ca CA) issue(random io.Reader, now time.Time, key Key, template *x509.Certificate) ([]byte, error) {
	if !now.Before(ca.cert.NotAfter) {
		return nil, fmt.Errorf("the CA expired on %s", ca.cert.NotAfter.Format(time.DateOnly))
	}
	template.NotBefore = now.Add(-skew)
	template.NotAfter = now.AddDate(leafYears, 0, 0)
	if template.NotAfter.After(ca.cert.NotAfter) {
		template.NotAfter = ca.cert.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(random, template, ca.cert, key.private.Public(), ca.key.private)
	if err != nil {
		return nil, err
	}
	return encode(certificateBlock, der), nil
}

// setNames sorts names into DNS names and IP addresses, each once, in the
// order given. An address among the DNS names would match nothing.
func setNames(template *x509.Certificate, names []string) error {
	if len(names) == 0 {
		return errors.New("no host name or address to be valid for")
	}
	for i, n := range names {
		if slices.Contains(names[:i], n) {
			continue
		}
		if addr, err := netip.ParseAddr(n); err == nil && addr.Zone() == "" {
			template.IPAddresses = append(template.IPAddresses, net.IP(addr.Unmap().AsSlice()))
			continue
		}
		if !hostName(n) {
			return fmt.Errorf("%q is neither a host name nor an IP address", n)
		}
		template.DNSNames = append(template.DNSNames, n)
	}
	return nil
}

// hostName is strict on purpose: a wildcard would make every member every
// other member, and a trailing dot matches nothing in crypto/x509.
func hostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// Window is how long a certificate is valid and when it is due for renewal:
// after two thirds of its life.
func Window(cert *x509.Certificate) cluster.Certificate {
	life := cert.NotAfter.Sub(cert.NotBefore)
	return cluster.Certificate{NotAfter: cert.NotAfter, RenewAt: cert.NotBefore.Add(life / 3 * 2)}
}

// Fingerprint names a CA on the marker: the first 16 hexadecimal digits of the
// SHA-256 over its certificate (DER). It tells CAs of one owner apart and is
// no proof against somebody who makes certificates to collide.
func Fingerprint(ca *x509.Certificate) string {
	sum := sha256.Sum256(ca.Raw)
	return hex.EncodeToString(sum[:8])
}

// Key is a private key. Printing one in any format prints no part of it.
type Key struct{ private *ecdsa.PrivateKey }

// NewKey makes a key.
func NewKey(random io.Reader) (Key, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return Key{}, fmt.Errorf("make key: %w", err)
	}
	return Key{private: k}, nil
}

// Matches says whether a certificate is this key's.
func (k Key) Matches(cert *x509.Certificate) bool { return k.private.PublicKey.Equal(cert.PublicKey) }

// Format implements fmt.Formatter.
func (Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, withheld) }
