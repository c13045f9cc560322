// Package hostkeys knows which SSH keys the machines may show that pleiad makes
// itself. It stands between a provider of hosts, which gives a new machine its
// first key, and the SSH transport, which accepts no other.
//
//	First ─▶ user data ─▶ the machine shows its first key
//	                          │ Replace: it makes a key of its own, the first one is gone
//	                          └─▶ Vouch: from then on that one key
//
// A first key is in user data, which others can read: every process on the machine,
// and whoever may describe it in the cloud. So it is good for one thing, to make sure
// that the machine at an address is the one that was launched, and it is accepted
// only until that was done.
//
// Keys are files in a folder of the state directory, one a host, and a secret from
// which first keys are made, so that the same user data can be made again. Beside them
// is noted when a first key was given: its machine may exist from then on.
package hostkeys

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec"
)

// Folder is its place in a state directory.
const Folder = "ssh"

// Store is the folder. It is made when it is needed first.
type Store struct{ dir string }

// In is the store of a state directory.
func In(stateDir string) *Store { return &Store{filepath.Join(stateDir, Folder)} }

const (
	secretFile = "secret"
	secretSize = 32
	// maxFile is more than a key takes.
	maxFile = 4 << 10
)

// own is the file of a machine's own key, agreed that of one which the machine may
// not show yet.
func (s *Store) own(name string) string    { return filepath.Join(s.dir, name+".pub") }
func (s *Store) agreed(name string) string { return filepath.Join(s.dir, name+".agreed") }

// given is the file that says when a machine was given its first key.
func (s *Store) given(name string) string { return filepath.Join(s.dir, name+givenSuffix) }

const givenSuffix = ".given"

// Vouch says which keys a machine may show: the one of its own, or until it is known
// to have that, also the one that was agreed with it, and its first.
func (s *Store) Vouch(name string) (sshexec.HostKeys, error) {
	out := sshexec.HostKeys{Name: name}
	own, err := s.read(s.own(name))
	switch {
	case err == nil:
		out.Keys = []ssh.PublicKey{own}
		return out, nil
	case !errors.Is(err, fs.ErrNotExist):
		return out, err
	}
	agreed, err := s.read(s.agreed(name))
	if err == nil {
		out.Keys = append(out.Keys, agreed)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return out, err
	}
	secret, err := s.readSecret()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return out, nil // no machine was made from here
	case err != nil:
		return out, err
	}
	key, err := first(secret, name)
	if err != nil {
		return out, err
	}
	out.Keys = append(out.Keys, publicOf(key))
	return out, nil
}

// Forget forgets a machine that is gone.
func (s *Store) Forget(name cluster.MemberName) error {
	_, err := durable.Remove(s.own(string(name)))
	_, err2 := durable.Remove(s.agreed(string(name)))
	_, err3 := durable.Remove(s.given(string(name)))
	return errors.Join(err, err2, err3)
}

// Remove removes the store, if no machine is left in it.
func (s *Store) Remove() error {
	left, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || len(left) > 1 || len(left) == 1 && left[0].Name() != secretFile {
		return err
	}
	if _, err := durable.Remove(filepath.Join(s.dir, secretFile)); err != nil {
		return err
	}
	return os.Remove(s.dir)
}

// secret is what first keys are made from. Whoever comes first makes it.
func (s *Store) secret() ([]byte, error) {
	secret, err := s.readSecret()
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	made := make([]byte, secretSize)
	rand.Read(made)
	err = durable.Create(durable.Private(filepath.Join(s.dir, secretFile), []byte(hex.EncodeToString(made)+"\n")))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return s.readSecret()
}

func (s *Store) readSecret() ([]byte, error) {
	path := filepath.Join(s.dir, secretFile)
	raw, err := untrusted.Read(path, maxFile)
	if err != nil {
		return nil, err
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(secret) != secretSize {
		return nil, fault.WithRemedy(fmt.Errorf("%w: %s is not what pleiad wrote", fault.Damaged, path), "put the file back from a backup: "+path)
	}
	return secret, nil
}

func (s *Store) read(path string) (ssh.PublicKey, error) {
	raw, err := untrusted.Read(path, maxFile)
	if err != nil {
		return nil, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(raw)
	if err != nil {
		return nil, fault.WithRemedy(fmt.Errorf("%w: %s is not an SSH key: %w", fault.Damaged, path, err), "put the file back from a backup: "+path)
	}
	return key, nil
}
