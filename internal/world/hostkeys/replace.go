package hostkeys

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/ssh"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
)

// Machine runs a command as root on one machine.
type Machine interface {
	Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error)
}

// Replace has a machine show a key of its own instead of its first one, unless it
// does so already. It may be cut off anywhere, and done again: until the machine has
// confirmed it, both keys are accepted.
func (s *Store) Replace(ctx context.Context, name cluster.MemberName, m Machine) error {
	if _, err := os.Lstat(s.own(string(name))); err == nil {
		_, err := m.Run(ctx, "true", nil)
		return err
	}
	_, public, err := s.first(name)
	if err != nil {
		return err
	}
	answer, err := m.Run(ctx, prepare(public), nil)
	if err != nil {
		return err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(answer[:min(len(answer), maxFile)])
	if err != nil || line(key) == public {
		return fmt.Errorf("make an SSH key on %s: it printed no new key", name)
	}
	if _, err := durable.Replace(durable.Private(s.agreed(string(name)), []byte(line(key)+"\n"))); err != nil {
		return err
	}
	if _, err := m.Run(ctx, show, nil); err != nil {
		return err
	}
	if err := os.Rename(s.agreed(string(name)), s.own(string(name))); err != nil {
		return err
	}
	return durable.SyncFolders(s.dir)
}

const hostKey = "/etc/ssh/ssh_host_ed25519_key"

// prepare prints the public key that the machine will show, or shows by now. Where it
// still has the first one, another is made beside it; its public half is there last.
func prepare(first string) string {
	return `set -e
if [ "$(cut -d ' ' -f 1,2 ` + hostKey + `.pub)" = "` + first + `" ]; then
  if [ ! -e ` + hostKey + `.own.pub ]; then
    rm -f ` + hostKey + `.own
    ssh-keygen -q -t ed25519 -N '' -C '' -f ` + hostKey + `.own
  fi
  cat ` + hostKey + `.own.pub
else
  cat ` + hostKey + `.pub
fi`
}

// show puts the key in place. sshd reads it when it is told to, and ends no session
// for that; its unit has one name or the other.
const show = `set -e
if [ -e ` + hostKey + `.own ]; then mv -f ` + hostKey + `.own ` + hostKey + `; fi
if [ -e ` + hostKey + `.own.pub ]; then mv -f ` + hostKey + `.own.pub ` + hostKey + `.pub; fi
sync
systemctl reload ssh.service 2>/dev/null || systemctl reload sshd.service`
