package sshexec

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/given"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

// KeyProblem says why a host key is not accepted.
type KeyProblem string

// The problems with host keys.
const (
	KeyUnknown KeyProblem = "unknown"                // nobody ever vouched for a key of this host
	KeyChanged KeyProblem = "changed"                // known_hosts has other keys of this host
	KeyRevoked KeyProblem = "revoked"                // somebody withdrew this very key
	KeyInvalid KeyProblem = "certificate is invalid" // an authority is known, but the certificate does not hold
	KeyForeign KeyProblem = "foreign"                // whoever vouches for the host does not know this key
)

// HostKeyError says that a host key is not accepted. Nothing was sent but the
// beginning of a key exchange.
type HostKeyError struct {
	Problem KeyProblem
	// Host as known_hosts names it: "10.5.1.81", "[10.5.1.81]:2222".
	Host string
	// Type and Fingerprint of the key that was shown: "ssh-ed25519", "SHA256:…".
	Type, Fingerprint string
	// Known are keys of the host that would be accepted, or the entry that
	// revokes it: "file:line: type SHA256:…"; for a foreign key, whose it is not.
	Known []string
	// Why, for an invalid certificate or a foreign key.
	Why string

	line    string // for known_hosts
	scan    string // the command that shows the key
	files   []string
	section string // of the spec that takes fingerprints, "" for none
}

// Error implements error.
func (e *HostKeyError) Error() string {
	key := fmt.Sprintf("%s key %s", e.Type, e.Fingerprint)
	switch e.Problem {
	case KeyChanged:
		return fmt.Sprintf("host key of %s HAS CHANGED, somebody may be listening in: it shows %s, but the known key is %s", e.Host, key, strings.Join(e.Known, ", "))
	case KeyRevoked:
		return fmt.Sprintf("host key of %s is revoked: %s, by %s", e.Host, key, strings.Join(e.Known, ", "))
	case KeyInvalid:
		return fmt.Sprintf("host certificate of %s is not valid: %s, of %s", e.Host, e.Why, key)
	case KeyForeign:
		return fmt.Sprintf("host key of %s is not that of %s, somebody may be listening in: it shows %s: %s", e.Host, e.Known[0], key, e.Why)
	}
	return fmt.Sprintf("host key of %s is unknown: it shows %s", e.Host, key)
}

// Is says that it is of kind Denied: only a person can mend it.
func (e *HostKeyError) Is(target error) bool { return target == fault.Denied }

// Remedy is what a person can do. Never to drop an entry: that would accept
// whoever is there.
func (e *HostKeyError) Remedy() []string {
	compare := fmt.Sprintf("compare with what the host says on its console: ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub", shortType(e.Type))
	switch e.Problem {
	case KeyChanged:
		return []string{
			"ask the administrator of the host whether it was reinstalled; if it was not, do not connect", compare,
			"only if both are equal, replace the old line with this one:", e.line,
		}
	case KeyRevoked:
		return []string{"do not connect; the host needs a new key"}
	case KeyInvalid:
		return []string{"have the host's certificate signed again for the name " + e.Host + ": ssh-keygen -s CA -h -n " + e.Host + " …"}
	case KeyForeign:
		return []string{"do not connect; see on the host's console who it is", compare}
	}
	remedy := []string{
		compare, "from here: " + e.scan,
		"if they are equal, accept it:", "echo " + shell.Quote(e.line) + " >> " + e.file(),
	}
	if e.section != "" {
		remedy = append(remedy, "or in the spec, under "+e.section+": fingerprints: [\""+e.Fingerprint+"\"]")
	}
	return remedy
}

func (e *HostKeyError) file() string {
	if len(e.files) == 0 {
		return "~/.ssh/known_hosts"
	}
	return shell.Quote(e.files[0])
}

// shortType is a key type as file names and ssh-keyscan have it.
func shortType(t string) string {
	switch {
	case strings.HasPrefix(t, "ecdsa-"):
		return "ecdsa"
	case t == ssh.KeyAlgoED25519:
		return "ed25519"
	}
	return strings.TrimPrefix(t, "ssh-")
}

// hostKeys judges the keys that one host shows.
type hostKeys struct {
	name         string // host:port as known_hosts has it
	files        []string
	fingerprints []string
	check        ssh.HostKeyCallback
	known        []knownhosts.KnownKey // keys of this host
	authorities  bool                  // some authority may sign for this host
	revoked      revoked
	vouched      *HostKeys // instead of known and authorities; nil for none
	section      string    // of the spec that has knownHosts and fingerprints, "" for none
}

// readHostKeys reads known_hosts for a host. A line that cannot be read is an
// error, lest one that revokes goes unheeded.
func readHostKeys(name string, files, fingerprints []string, section string) (*hostKeys, error) {
	h := &hostKeys{name: name, files: files, fingerprints: fingerprints, section: section}
	elsewhere := "name another file with UserKnownHostsFile in ssh_config"
	if section != "" {
		elsewhere = "name another file: knownHosts: under " + section + " in the spec"
	}
	var there []string
	for _, f := range files {
		// Package knownhosts opens the files itself, however long they are and
		// whatever opening them waits for.
		switch err := given.Regular(f, given.List); {
		case err == nil:
			there = append(there, f)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, setupError(elsewhere, "read known hosts: %w", err)
		}
	}
	var err error
	if h.check, err = knownhosts.New(there...); err != nil {
		return nil, setupError("fix that line, or "+elsewhere, "read known hosts: %w", err)
	}
	var all *knownhosts.KeyError
	if errors.As(h.check(name, nowhere, noKey{}), &all) {
		for _, k := range all.Want {
			signs, err := isAuthority(k)
			if err != nil {
				return nil, setupError("run the command again", "read known hosts: %w", err)
			}
			if signs {
				h.authorities = true
			} else {
				h.known = append(h.known, k)
			}
		}
	}
	return h, nil
}

// nowhere stands for the address of the other side, which is looked up only
// where there is no name.
var nowhere = &net.TCPAddr{IP: net.IPv4zero}

// noKey equals no key, so that asking for it brings all there are.
type noKey struct{ ssh.PublicKey }

func (noKey) Type() string    { return "none" }
func (noKey) Marshal() []byte { return []byte("none") }

// isAuthority says whether an entry is that of an authority; package
// knownhosts does not tell.
func isAuthority(k knownhosts.KnownKey) (bool, error) {
	b, err := os.ReadFile(k.Filename)
	if err != nil {
		return false, err
	}
	lines := strings.Split(string(b), "\n")
	if k.Line > len(lines) {
		return false, fmt.Errorf("%s has become shorter", k.Filename)
	}
	return strings.HasPrefix(strings.Trim(lines[k.Line-1], " \t"), "@cert-authority"), nil
}

// algorithms are those to ask the host for, best first: certificates where an
// authority may sign them, then keys of the types that are known, then all
// others but those of the types that were tried already. Asked in another order
// a host with several keys shows one that nobody knows, which would look like a
// changed key.
func (h *hostKeys) algorithms(tried []string) []string {
	if h.vouched != nil {
		return h.vouched.algorithms()
	}
	var certificates, known, others []string
	for _, a := range ssh.SupportedAlgorithms().HostKeys {
		plain := plainType(a)
		switch {
		case slices.Contains(tried, plain):
		case certified(a):
			certificates = append(certificates, a)
		case slices.ContainsFunc(h.known, func(k knownhosts.KnownKey) bool { return k.Key.Type() == plain }):
			known = append(known, a)
		default:
			others = append(others, a)
		}
	}
	slices.SortStableFunc(others, func(a, b string) int { return rank(a) - rank(b) })
	if h.authorities {
		return slices.Concat(certificates, known, others)
	}
	return slices.Concat(known, others)
}

// rank puts the type first that every host has and people compare most.
func rank(algorithm string) int {
	if algorithm == ssh.KeyAlgoED25519 {
		return 0
	}
	return 1
}

// certified says whether a host key algorithm shows a certificate.
func certified(algorithm string) bool { return strings.Contains(algorithm, "-cert-") }

// plainType is the type of key that a host key algorithm works with.
func plainType(algorithm string) string {
	a := strings.Replace(algorithm, "-cert-v01@openssh.com", "", 1)
	if strings.HasPrefix(a, "rsa-sha2-") {
		return ssh.KeyAlgoRSA
	}
	return a
}

// judge accepts a key or says what is wrong with it.
func (h *hostKeys) judge(key ssh.PublicKey) error {
	err := h.check(h.name, nowhere, key)
	plain := key
	certificate, signed := key.(*ssh.Certificate)
	if signed {
		plain = certificate.Key
	}
	out := &HostKeyError{Host: knownhosts.Normalize(h.name), Type: plain.Type(), Fingerprint: ssh.FingerprintSHA256(plain),
		line: knownhosts.Line([]string{h.name}, plain), files: h.files, section: h.section}
	var revoked *knownhosts.RevokedError
	if errors.As(h.check(h.name, nowhere, plain), &revoked) {
		out.Problem, out.Known = KeyRevoked, []string{describe(revoked.Revoked)}
		return out
	}
	if where := h.revoked.by(key); where != "" {
		out.Problem, out.Known = KeyRevoked, []string{where}
		return out
	}
	if h.vouched != nil {
		if err := h.vouched.accepts(key); err != nil {
			out.Problem, out.Known, out.Why = KeyForeign, []string{h.vouched.Name}, strings.TrimPrefix(err.Error(), "ssh: ")
			return out
		}
		return nil
	}
	if err == nil || slices.Contains(h.fingerprints, out.Fingerprint) {
		return nil
	}
	for _, k := range h.known {
		out.Known = append(out.Known, describe(k))
	}
	switch {
	case signed:
		out.Problem, out.Why = KeyInvalid, strings.TrimPrefix(err.Error(), "ssh: ")
	case len(h.known) > 0:
		out.Problem = KeyChanged
	default:
		out.Problem, out.scan = KeyUnknown, scan(h.name, out.Type)
	}
	return out
}

func describe(k knownhosts.KnownKey) string {
	return fmt.Sprintf("%s:%d: %s %s", k.Filename, k.Line, k.Key.Type(), ssh.FingerprintSHA256(k.Key))
}

func scan(name, keyType string) string {
	host, port, err := net.SplitHostPort(name)
	if err != nil {
		host, port = name, "22"
	}
	return fmt.Sprintf("ssh-keyscan -t %s -p %s %s | ssh-keygen -lf -", shortType(keyType), port, shell.Quote(host))
}
