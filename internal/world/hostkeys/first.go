package hostkeys

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// First is the first key of a machine that is about to be made: private, in OpenSSH's
// form, and public, as in authorized_keys. It is the same each time. When it was given
// last is noted, for [Store.Given].
func (s *Store) First(name cluster.MemberName) (private, public string, err error) {
	private, public, err = s.first(name)
	if err == nil {
		_, err = durable.Replace(durable.Private(s.given(string(name)), []byte(time.Now().UTC().Format(time.RFC3339Nano)+"\n")))
	}
	if err != nil {
		return "", "", fmt.Errorf("make the first SSH key of %s: %w", name, err)
	}
	return private, public, nil
}

func (s *Store) first(name cluster.MemberName) (private, public string, err error) {
	secret, err := s.secret()
	if err != nil {
		return "", "", err
	}
	key, err := first(secret, string(name))
	if err != nil {
		return "", "", err
	}
	block := &pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: openSSH(key)}
	return string(pem.EncodeToMemory(block)), line(publicOf(key)), nil
}

// Given is when each machine that is not forgotten was given its first key last. It may
// have been made then, whether anybody has seen it since or not.
func (s *Store) Given() (map[cluster.MemberName]time.Time, error) {
	files, err := filepath.Glob(s.given("*"))
	if err != nil {
		return nil, err
	}
	out := map[cluster.MemberName]time.Time{}
	for _, file := range files {
		raw, err := untrusted.Read(file, maxFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue // somebody has just forgotten it
		}
		if err != nil {
			return nil, err
		}
		at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(raw)))
		if err != nil {
			return nil, fault.WithRemedy(fmt.Errorf("%w: %s is not a time: %w", fault.Damaged, file, err), "put the file back from a backup: "+file)
		}
		out[cluster.MemberName(strings.TrimSuffix(filepath.Base(file), givenSuffix))] = at
	}
	return out, nil
}

// first makes the first key of a machine.
func first(secret []byte, name string) (ed25519.PrivateKey, error) {
	seed, err := hkdf.Key(sha256.New, secret, nil, "first SSH host key of "+name, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func publicOf(key ed25519.PrivateKey) ssh.PublicKey {
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		panic(err) // of a key of its own type
	}
	return public
}

// line is a key without its comment.
func line(key ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) }

// openSSH is a private key in OpenSSH's form (openssh/PROTOCOL.key), unencrypted, and
// the same each time: ssh.MarshalPrivateKey puts a random number where any will do.
func openSSH(key ed25519.PrivateKey) []byte {
	public := key.Public().(ed25519.PublicKey)
	inner := ssh.Marshal(struct {
		Check1, Check2 uint32
		Type           string
		Public         []byte
		Private        []byte
		Comment        string
	}{1, 1, ssh.KeyAlgoED25519, public, key, ""})
	for pad := byte(1); len(inner)%8 != 0; pad++ {
		inner = append(inner, pad)
	}
	return append([]byte("openssh-key-v1\x00"), ssh.Marshal(struct {
		Cipher, KDF, Options string
		Count                uint32
		Public, Private      []byte
	}{"none", "none", "", 1, publicOf(key).Marshal(), inner})...)
}
