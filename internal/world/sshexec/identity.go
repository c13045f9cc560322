package sshexec

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/pleiad-etcd/pleiad/internal/system/given"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

// identities are the keys to log in with, in the order to offer them: those
// that somebody named, signed by the agent where it has them; then the agent's
// others; then ssh's default files. A server hangs up after a few wrong keys,
// so the likely ones come first.
type identities struct {
	signers []ssh.Signer
	// offered says of each signer which key it is and where it comes from.
	offered []string
	// unusable says of each key that could not be offered why; hints how to
	// mend that.
	unusable []string
	hints    []string
	// file is that of the first key that came from one, empty if none did.
	file string
	// accepted is the last key that the server knew, as offered has it; empty if it
	// knew none.
	accepted string
}

// gather opens the agent and reads the key files, until ctx ends. closing ends the talk with the agent, which signs until then.
func gather(ctx context.Context, r route) (ids *identities, closing func()) {
	ids = &identities{}
	held, closing := ids.agent(ctx, r.agent)
	if !r.chosen {
		ids.addAll(held)
		held = nil
	}
	certificates := ids.certificates(ctx, r.certificates)
	for _, file := range r.identities {
		ids.addFile(ctx, file, r.chosen, held, certificates)
	}
	if r.chosen && !r.onlyThese {
		ids.addAll(held)
	}
	return ids, closing
}

// agent lists what the agent holds; a broken agent is no error, since other
// keys may do.
func (ids *identities) agent(ctx context.Context, socket string) (held []ssh.Signer, closing func()) {
	if socket == "" {
		return nil, func() {}
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		ids.unusable = append(ids.unusable, "agent: "+err.Error())
		return nil, func() {}
	}
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	held, err = agent.NewClient(conn).Signers()
	if err != nil {
		ids.unusable = append(ids.unusable, "agent: "+err.Error())
	}
	return held, func() { conn.Close() }
}

func (ids *identities) add(s ssh.Signer, from string) {
	offer := fmt.Sprintf("%s %s (%s)", s.PublicKey().Type(), ssh.FingerprintSHA256(plainKey(s.PublicKey())), from)
	ids.signers = append(ids.signers, noticing(s, func() { ids.accepted = offer }))
	ids.offered = append(ids.offered, offer)
}

// noticing is a signer that says when it is asked to sign, which a server that knows
// the key does.
func noticing(s ssh.Signer, asked func()) ssh.Signer {
	switch s := s.(type) {
	case ssh.MultiAlgorithmSigner:
		return &noticingMulti{s, asked}
	case ssh.AlgorithmSigner:
		return &noticingOne{s, asked}
	}
	return s
}

type noticingOne struct {
	ssh.AlgorithmSigner
	asked func()
}

func (n *noticingOne) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	n.asked()
	return n.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
}

type noticingMulti struct {
	ssh.MultiAlgorithmSigner
	asked func()
}

func (n *noticingMulti) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	n.asked()
	return n.MultiAlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
}

func plainKey(k ssh.PublicKey) ssh.PublicKey {
	if c, ok := k.(*ssh.Certificate); ok {
		return c.Key
	}
	return k
}

func (ids *identities) addAll(held []ssh.Signer) {
	for _, s := range held {
		if !ids.has(s.PublicKey()) {
			ids.add(s, "agent")
		}
	}
}

func (ids *identities) has(k ssh.PublicKey) bool {
	for _, s := range ids.signers {
		if bytes.Equal(s.PublicKey().Marshal(), k.Marshal()) {
			return true
		}
	}
	return false
}

// certificates reads those that somebody named.
func (ids *identities) certificates(ctx context.Context, files []string) (out []namedCertificate) {
	for _, file := range files {
		c, err := readCertificate(ctx, file)
		if err != nil {
			ids.unusable = append(ids.unusable, err.Error())
			continue
		}
		out = append(out, namedCertificate{file, c})
	}
	return out
}

type namedCertificate struct {
	file string
	*ssh.Certificate
}

// addFile adds the key in a file, and before it its certificates: those that somebody
// named, and the one beside it. Of a key whose private half is encrypted or elsewhere
// the public one is enough if the agent holds it; it may be the file that is named.
func (ids *identities) addFile(ctx context.Context, file string, chosen bool, held []ssh.Signer, certificates []namedCertificate) {
	signer, public, err := readKey(ctx, file)
	if errors.Is(err, fs.ErrNotExist) && !chosen {
		return
	}
	for _, s := range held {
		if public != nil && bytes.Equal(s.PublicKey().Marshal(), public.Marshal()) {
			signer, err = s, nil
		}
	}
	if err != nil {
		ids.unusable = append(ids.unusable, err.Error())
		if public == nil || !ids.has(public) {
			ids.hint(err, file, public)
		}
		return
	}
	for _, c := range certificates {
		if bytes.Equal(c.Key.Marshal(), plainKey(signer.PublicKey()).Marshal()) {
			ids.addCertified(c, signer)
		}
	}
	beside := strings.TrimSuffix(file, ".pub") + "-cert.pub"
	switch c, err := readCertificate(ctx, beside); {
	case err == nil:
		ids.addCertified(namedCertificate{beside, c}, signer)
	case !errors.Is(err, fs.ErrNotExist):
		ids.unusable = append(ids.unusable, err.Error())
	}
	if !ids.has(signer.PublicKey()) {
		ids.add(signer, file)
		ids.file = cmp.Or(ids.file, file)
	}
}

// hint tells how to mend that a key cannot be used.
func (ids *identities) hint(err error, file string, public ssh.PublicKey) {
	var encrypted *ssh.PassphraseMissingError
	private, named := strings.CutSuffix(file, ".pub")
	switch {
	case errors.Is(err, errPublic) && named:
		ids.hints = append(ids.hints, "give its private key to an agent: ssh-add "+shell.Quote(private))
	case errors.Is(err, errPublic):
		ids.hints = append(ids.hints, "give its private key to an agent, with ssh-add, or name the file of the private key")
	case errors.As(err, &encrypted), public != nil && strings.HasPrefix(public.Type(), "sk-"):
		ids.hints = append(ids.hints, "give the key to an agent: ssh-add "+shell.Quote(file))
	}
}

func (ids *identities) addCertified(c namedCertificate, signer ssh.Signer) {
	certified, err := ssh.NewCertSigner(c.Certificate, signer)
	switch {
	case err != nil:
		ids.unusable = append(ids.unusable, fmt.Sprintf("%s: %v", c.file, err))
	case !ids.has(certified.PublicKey()):
		ids.add(certified, c.file)
	}
}

// errPublic says that a file has a public key, of which nobody has the private one.
var errPublic = errors.New("a public key, and the agent does not have its private one")

// readKey reads a private key. public is its public half, if that is known
// though err is not nil.
func readKey(ctx context.Context, file string) (signer ssh.Signer, public ssh.PublicKey, err error) {
	b, err := given.Read(ctx, file, given.Key)
	if err == nil {
		if signer, err = ssh.ParsePrivateKey(b); err == nil {
			return signer, signer.PublicKey(), nil
		}
		var encrypted *ssh.PassphraseMissingError
		if errors.As(err, &encrypted) {
			public = encrypted.PublicKey
		}
		if key, _, _, _, notPublic := ssh.ParseAuthorizedKey(b); notPublic == nil {
			public, err = key, errPublic
		}
		err = fmt.Errorf("%s: %w", file, err)
	}
	if public == nil {
		public, _ = readPublic(ctx, file+".pub") // only a help to find it in the agent
	}
	return nil, public, err
}

func readPublic(ctx context.Context, file string) (ssh.PublicKey, error) {
	b, err := given.Read(ctx, file, given.Key)
	if err != nil {
		return nil, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

func readCertificate(ctx context.Context, file string) (*ssh.Certificate, error) {
	key, err := readPublic(ctx, file)
	if err != nil {
		return nil, err
	}
	certificate, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, fmt.Errorf("%s: not a certificate", file)
	}
	return certificate, nil
}
