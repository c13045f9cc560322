package sshexec

import (
	"bytes"
	"errors"
	"slices"

	"golang.org/x/crypto/ssh"
)

// HostKeys are the keys that one host may show, where somebody vouches for them who
// knows the host better than known_hosts does.
type HostKeys struct {
	// Name is the host's, for people.
	Name string
	Keys []ssh.PublicKey
}

// errVouched says that nobody vouched for the key that a host shows.
var errVouched = errors.New("nobody vouches for this key")

// accepts says what is wrong with a key; nil if nothing. A certificate is as good
// as the key that it is for.
func (k *HostKeys) accepts(key ssh.PublicKey) error {
	if certificate, signed := key.(*ssh.Certificate); signed {
		key = certificate.Key
	}
	if slices.ContainsFunc(k.Keys, func(one ssh.PublicKey) bool { return equalKeys(one, key) }) {
		return nil
	}
	return errVouched
}

// algorithms are those to ask the host for: those of the keys first, then any other,
// so that an error can say what was shown.
func (k *HostKeys) algorithms() []string {
	rank := func(a string) int {
		switch {
		case slices.ContainsFunc(k.Keys, func(one ssh.PublicKey) bool { return one.Type() == a }):
			return 0
		case certified(a):
			return 2
		}
		return 1
	}
	out := ssh.SupportedAlgorithms().HostKeys
	slices.SortStableFunc(out, func(a, b string) int { return rank(a) - rank(b) })
	return out
}

func equalKeys(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }
