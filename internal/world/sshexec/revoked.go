package sshexec

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/pleiad-etcd/pleiad/internal/system/given"
)

// revoked are keys that are never accepted, by their bytes, with the place of
// each.
type revoked map[string]string

// readRevoked reads the RevokedHostKeys of ssh_config(5): a public key a line. As
// with ssh, a list that cannot be read lets nobody in; the binary form (KRL) is
// one that we cannot read.
func readRevoked(ctx context.Context, file string) (revoked, error) {
	if file == "" {
		return nil, nil
	}
	b, err := given.Read(ctx, file, given.Config)
	if err != nil {
		return nil, setupError("make the file readable, or take RevokedHostKeys out of ssh_config", "read revoked host keys: %w", err)
	}
	out := revoked{}
	for i, line := range bytes.Split(b, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey(line)
		if err != nil {
			return nil, setupError("list the revoked keys as text, one a line", "%s:%d: not a public key (a binary list is not supported)", file, i+1)
		}
		out[string(key.Marshal())] = fmt.Sprintf("%s:%d", file, i+1)
	}
	return out, nil
}

// by is where a key is revoked, or what it is a certificate of or signed with; ""
// if it is not.
func (r revoked) by(key ssh.PublicKey) string {
	if c, ok := key.(*ssh.Certificate); ok {
		for _, k := range []ssh.PublicKey{c.Key, c.SignatureKey} {
			if where := r[string(k.Marshal())]; where != "" {
				return where
			}
		}
	}
	return r[string(key.Marshal())]
}
