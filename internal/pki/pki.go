// Package pki is the public key infrastructure of one cluster: two CAs of its
// own and what they issue. It stands beside the loop: the control side's home
// keeps the CAs and issues with them, delivery carries the results to hosts,
// and observation reads from them how long they are valid ([Window]).
//
// There are two CAs because etcd asks only one question of a certificate, who
// signed it: a certificate that is accepted on the peer port can speak raft. So the [PeerCA]
// signs members for each other and nothing else, and the [ClientCA] signs what
// is used on the client port. They are distinct types, so that one cannot be
// used as the other:
//
//	PeerCA    IssuePeer      a member to its peers, both ends of a connection
//	ClientCA  IssueServer    a member to its clients; a server only
//	          IssueGateway   etcd's JSON gateway to the member it is part of
//	          IssueOperator  pleiad itself
//	          IssueClient    an application
//
// [NewPeerCA] and [NewClientCA] first, then [NewKey] and one of the above. Keys
// are ECDSA on P-256, certificates and keys are PEM, and time and randomness
// come from the caller; nothing here touches files. Since Go 1.26 the standard
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

// CA signs certificates: what a [PeerCA] and a [ClientCA] have in common.
type CA struct {
	cert *x509.Certificate
	pem  []byte
	key  Key
}

// PeerCA signs what members present to each other.
type PeerCA struct{ CA }

// ClientCA signs what is presented on the client port, by either side.
type ClientCA struct{ CA }

// What the common names of the CAs begin with. They tell the two apart where
// files were mixed up; etcd does not look at them.
const (
	peerCA   = "pleiad peer CA of "
	clientCA = "pleiad client CA of "
)

// NewPeerCA makes the CA of a cluster's peers, valid for ten years. It may sign
// leaves only, no further CAs.
func NewPeerCA(random io.Reader, now time.Time, name cluster.Name) (PeerCA, error) {
	ca, err := newCA(random, now, peerCA+string(name))
	return PeerCA{ca}, err
}

// NewClientCA makes the CA of a cluster's clients in the same way.
func NewClientCA(random io.Reader, now time.Time, name cluster.Name) (ClientCA, error) {
	ca, err := newCA(random, now, clientCA+string(name))
	return ClientCA{ca}, err
}

func newCA(random io.Reader, now time.Time, name string) (CA, error) {
	key, err := NewKey(random)
	if err != nil {
		return CA{}, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name},
		// From long ago: what was made by a clock that was wrong must not be
		// what no certificate of the right one can rest on.
		NotBefore:             now.AddDate(-caYears, 0, 0),
		NotAfter:              now.AddDate(caYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(random, template, template, key.private.Public(), key.private)
	if err != nil {
		return CA{}, fmt.Errorf("make %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return CA{}, fmt.Errorf("make %s: %w", name, err)
	}
	return CA{cert: cert, pem: encode(certificateBlock, der), key: key}, nil
}

// ParsePeerCA reads a CA from its certificate and key in PEM. It is an error if
// the two do not belong together or the certificate is not of a CA for peers.
func ParsePeerCA(cert, key []byte) (PeerCA, error) {
	ca, err := parseCA("peer CA", peerCA, cert, key)
	return PeerCA{ca}, err
}

// ParseClientCA does the same for a CA for clients.
func ParseClientCA(cert, key []byte) (ClientCA, error) {
	ca, err := parseCA("client CA", clientCA, cert, key)
	return ClientCA{ca}, err
}

func parseCA(what, name string, cert, key []byte) (CA, error) {
	c, err := ParseCertificate(what+" certificate", cert)
	if err != nil {
		return CA{}, err
	}
	if !c.IsCA || !c.BasicConstraintsValid {
		return CA{}, fmt.Errorf("%s certificate: it is not a CA's", what)
	}
	if !strings.HasPrefix(c.Subject.CommonName, name) {
		return CA{}, fmt.Errorf("%s certificate: it is of another CA, %q", what, c.Subject.CommonName)
	}
	k, err := ParseKey(what+" key", key)
	if err != nil {
		return CA{}, err
	}
	if !k.Matches(c) {
		return CA{}, fmt.Errorf("%s key: it does not belong to the certificate", what)
	}
	return CA{cert: c, pem: encode(certificateBlock, c.Raw), key: k}, nil
}

// Certificate is the CA's certificate; not to be changed.
func (ca CA) Certificate() *x509.Certificate { return ca.cert }

// PEM is the CA's certificate as it is trusted.
func (ca CA) PEM() []byte { return slices.Clone(ca.pem) }

// Key is the CA's key. It never leaves the control side (rule R15).
func (ca CA) Key() Key { return ca.key }

// Issued says whether this CA signed a certificate.
func (ca CA) Issued(cert *x509.Certificate) bool { return cert.CheckSignatureFrom(ca.cert) == nil }

// IssuePeer makes the certificate of a member for its peers, in PEM, valid for
// a year for all the given host names and IP addresses. It serves both ends of
// a connection.
func (ca PeerCA) IssuePeer(random io.Reader, now time.Time, key Key, name cluster.MemberName, names []string) ([]byte, error) {
	return ca.issueNamed("peer certificate", random, now, key, name, names, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
}

// IssueServer makes the certificate of a member for its clients, in PEM, valid
// for a year for all the given host names and IP addresses. It is not a
// client's: nobody is let in with it.
func (ca ClientCA) IssueServer(random io.Reader, now time.Time, key Key, name cluster.MemberName, names []string) ([]byte, error) {
	return ca.issueNamed("server certificate", random, now, key, name, names, x509.ExtKeyUsageServerAuth)
}

func (ca CA) issueNamed(what string, random io.Reader, now time.Time, key Key, name cluster.MemberName, names []string, usage ...x509.ExtKeyUsage) ([]byte, error) {
	template := &x509.Certificate{Subject: pkix.Name{CommonName: string(name)}, ExtKeyUsage: usage}
	err := setNames(template, names)
	var b []byte
	if err == nil {
		b, err = ca.issue(random, now, key, template, now.AddDate(leafYears, 0, 0))
	}
	if err != nil {
		return nil, fmt.Errorf("issue %s of member %s: %w", what, name, err)
	}
	return b, nil
}

// issue signs a leaf. It never outlives the CA: a chain is valid only while
// both are, and the renewal point must not lie beyond that.
func (ca CA) issue(random io.Reader, now time.Time, key Key, template *x509.Certificate, until time.Time) ([]byte, error) {
	if !now.Before(ca.cert.NotAfter) {
		return nil, fmt.Errorf("the CA expired on %s", ca.cert.NotAfter.Format(time.DateOnly))
	}
	template.NotBefore = now.Add(-skew)
	template.NotAfter = until
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
	return cluster.Certificate{NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, RenewAt: cert.NotBefore.Add(life / 3 * 2)}
}

// Fingerprint names the CAs of a cluster on the marker: the first 16
// hexadecimal digits of the SHA-256 over both certificates (DER), peers first.
// It tells the CAs of one owner apart and is no proof against somebody who
// makes certificates to collide.
func Fingerprint(peers PeerCA, clients ClientCA) string {
	sum := sha256.Sum256(slices.Concat(peers.cert.Raw, clients.cert.Raw))
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
