package sshexec

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"

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
}

// gather opens the agent and reads the key files, until ctx ends. closing ends the talk with the agent, which signs until then.
func gather(ctx context.Context, r route) (ids *identities, closing func()) {
	ids = &identities{}
	held, closing := ids.agent(ctx, r.agent)
	if !r.chosen {
		ids.addAll(held)
		held = nil
	}
	for _, file := range r.identities {
		ids.addFile(ctx, file, r.chosen, held)
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
	ids.signers = append(ids.signers, s)
	ids.offered = append(ids.offered, fmt.Sprintf("%s %s (%s)", s.PublicKey().Type(), ssh.FingerprintSHA256(plainKey(s.PublicKey())), from))
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

// addFile adds the key in a file, and before it the certificate beside it. Of a
// key whose private half is encrypted or elsewhere the public one is enough if
// the agent holds it.
func (ids *identities) addFile(ctx context.Context, file string, chosen bool, held []ssh.Signer) {
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
		var encrypted *ssh.PassphraseMissingError
		if errors.As(err, &encrypted) && (public == nil || !ids.has(public)) {
			ids.hints = append(ids.hints, "give the key to an agent: ssh-add "+shell.Quote(file))
		}
		return
	}
	if certified, err := withCertificate(ctx, signer, file+"-cert.pub"); err == nil {
		ids.add(certified, file+"-cert.pub")
	} else if !errors.Is(err, fs.ErrNotExist) {
		ids.unusable = append(ids.unusable, err.Error())
	}
	if !ids.has(signer.PublicKey()) {
		ids.add(signer, file)
		ids.file = cmp.Or(ids.file, file)
	}
}

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

func withCertificate(ctx context.Context, s ssh.Signer, file string) (ssh.Signer, error) {
	key, err := readPublic(ctx, file)
	if err != nil {
		return nil, err
	}
	certificate, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, fmt.Errorf("%s: not a certificate", file)
	}
	signer, err := ssh.NewCertSigner(certificate, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return signer, nil
}
