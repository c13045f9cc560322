package sshexec

import (
	"bytes"
	"errors"
	"slices"

	"golang.org/x/crypto/ssh"
)

// HostKeys say which keys of one host are accepted, where somebody vouches for them
// who knows the host better than known_hosts does.
type HostKeys struct {
	// Authority signs the host's keys, in certificates for Name; nil for none.
	Authority ssh.PublicKey
	Name      string
	// Key is accepted without a certificate; nil for none.
	Key ssh.PublicKey
}

// errVouched says that nobody vouched for the key that a host shows.
var errVouched = errors.New("nobody vouches for this key")

// accepts says what is wrong with a key; nil if nothing.
func (k *HostKeys) accepts(key ssh.PublicKey) error {
	certificate, signed := key.(*ssh.Certificate)
	switch {
	case signed && k.Authority != nil:
		same := func(authority ssh.PublicKey) bool { return equalKeys(authority, k.Authority) }
		checker := ssh.CertChecker{IsHostAuthority: func(authority ssh.PublicKey, _ string) bool { return same(authority) }}
		if certificate.CertType != ssh.HostCert || !same(certificate.SignatureKey) {
			return errVouched
		}
		return checker.CheckCert(k.Name, certificate)
	case !signed && k.Key != nil && equalKeys(key, k.Key):
		return nil
	}
	return errVouched
}

// algorithms are those to ask the host for: a certificate first, then the one key,
// then any other, so that an error can say what was shown.
func (k *HostKeys) algorithms() []string {
	rank := func(a string) int {
		switch {
		case certified(a) && k.Authority != nil:
			return 0
		case k.Key != nil && a == k.Key.Type():
			return 1
		case certified(a):
			return 3
		}
		return 2
	}
	out := ssh.SupportedAlgorithms().HostKeys
	slices.SortStableFunc(out, func(a, b string) int { return rank(a) - rank(b) })
	return out
}

func equalKeys(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }
