package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/node"
)

// ErrAccount: the account of the member's name is not fit for a member.
var ErrAccount = errors.New("the account is not one for a member")

// madeByUs stands in the user's comment field, so that a user of the same name
// who was there before is never removed.
const madeByUs = node.MadeByUs

// account is an entry of the user database (passwd(5)).
type account struct {
	uid, gid       int
	comment, shell string
	// installed says that it owns the files of an installation: it was accepted.
	installed bool
}

// parseAccount reads a line of passwd(5).
func parseAccount(line string) (account, error) {
	f := strings.Split(strings.TrimSpace(line), ":")
	if len(f) != 7 {
		return account{}, fmt.Errorf("user %s: %q has %d fields, want 7", node.MachineUser, line, len(f))
	}
	uid, wrong := strconv.Atoi(f[2])
	gid, wrong2 := strconv.Atoi(f[3])
	return account{uid: uid, gid: gid, comment: f[4], shell: f[6]}, errors.Join(wrong, wrong2)
}

// lastSystemUser is the last user ID of the system's own accounts, by default
// (login.defs(5), SYS_UID_MAX). Those above it are people's.
const lastSystemUser = 999

// fit says why a member must not run as an account; nil if it may. One that
// somebody else made for the member is taken, if nobody can log in with it and it
// has no rights of its own: those would be the member's. The comment alone tells
// which one is pleiad's; it proves nothing about what was changed since.
func (a account) fit() error {
	why := ""
	switch {
	case a.uid == 0 || a.gid == 0:
		why = "it is root, or of root's group"
	case !slices.Contains([]string{"nologin", "false"}, a.shell[strings.LastIndex(a.shell, "/")+1:]):
		why = fmt.Sprintf("one can log in with it: its shell is %q", a.shell)
	case a.uid > lastSystemUser && a.comment != madeByUs && !a.installed:
		why = fmt.Sprintf("it is a person's: its ID is %d, and those of the system end at %d", a.uid, lastSystemUser)
	default:
		return nil
	}
	return fmt.Errorf("user %s: %w: %s; rename that account, or make it one of the system that nobody logs in with: usermod --shell /usr/sbin/nologin %s",
		node.MachineUser, ErrAccount, why, node.MachineUser)
}

// noSuchUser is how getent ends where there is no such entry (getent(1)).
const noSuchUser = 2

// machineUser finds the member's user. Only who is about to give it files makes
// it, and then it must be fit: what runs already goes on, and is looked at with
// its own rights.
func (h *Host) machineUser(ctx context.Context, create bool) (User, error) {
	a, found, err := h.account(ctx)
	if err != nil {
		return User{}, err
	}
	if !found {
		if !create {
			return User{}, nil
		}
		if _, err := h.Run(ctx, "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", node.StateFolder,
			"--shell", "/usr/sbin/nologin", "--comment", madeByUs, node.MachineUser); err != nil {
			return User{}, err
		}
		if a, found, err = h.account(ctx); err != nil || !found {
			return User{}, errors.Join(fmt.Errorf("user %s is not there after it was made", node.MachineUser), err)
		}
	}
	if create {
		if err := a.fit(); err != nil {
			return User{}, err
		}
	}
	return User{UID: a.uid, GID: a.gid, Ours: a.comment == madeByUs}, nil
}

// account looks the member's user up, wherever the machine keeps its users.
func (h *Host) account(ctx context.Context) (a account, found bool, err error) {
	line, err := h.Run(ctx, "getent", "passwd", node.MachineUser)
	if exitCode(err) == noSuchUser {
		return account{}, false, nil
	}
	if err != nil {
		return account{}, false, err
	}
	a, err = parseAccount(line)
	if err == nil && a.uid > lastSystemUser && a.comment != madeByUs {
		// Without an owner that can be read it is like any other.
		owner, wrong := h.Run(ctx, "stat", "--format=%u", node.StateFolder)
		a.installed = wrong == nil && strings.TrimSpace(owner) == strconv.Itoa(a.uid)
	}
	return a, err == nil, err
}

// unfit is why the account that is there would be refused; empty if it would not.
func (h *Host) unfit(ctx context.Context) string {
	a, found, err := h.account(ctx)
	if err == nil && found {
		err = a.fit()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
