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
var ErrAccount = errors.New("the account is not usable for a member")

// account is an entry of the user database (passwd(5)).
type account struct {
	uid, gid       int
	comment, shell string
	// installed says that it owns the files of an installation: it was accepted.
	installed bool
	// grouped says that there is a group of the name, be it the account's or not.
	grouped bool
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

// fit says why a member must not run as an account, and the remedy; nil if it
// may. An account that somebody else made is accepted if nobody can log in with
// it and it has no rights of its own, which the member would get. The comment
// tells which account pleiad made; it does not prove that nothing was changed
// since.
func (a account) fit() error {
	why, remedy := "", "rename it: "+a.rename()
	persons := a.uid > lastSystemUser && a.comment != node.MadeByUs && !a.installed
	switch login := !slices.Contains([]string{"nologin", "false"}, a.shell[strings.LastIndex(a.shell, "/")+1:]); {
	case a.uid == 0:
		why = "its ID is 0: it is root"
	case a.gid == 0:
		why = "it is in root's group"
	case persons:
		why = fmt.Sprintf("it is a person's: its ID is %d, and system IDs end at %d", a.uid, lastSystemUser)
	case login:
		why = fmt.Sprintf("people can log in with it: its shell is %q", a.shell)
		remedy = "disable its login: usermod --shell /usr/sbin/nologin " + node.MachineUser + "; or " + remedy
	default:
		return nil
	}
	return misfit(why, remedy)
}

// Misfit is why an account cannot be the member's, and the remedy.
type Misfit struct {
	Why    string `json:"why"`
	Remedy string `json:"remedy"`
}

func misfit(why, remedy string) error {
	return &Misfit{fmt.Sprintf("user %s: %v: %s", node.MachineUser, ErrAccount, why), remedy}
}

// Error implements error.
func (m *Misfit) Error() string { return m.Why + "; " + m.Remedy }

// Unwrap gives the kind.
func (m *Misfit) Unwrap() error { return ErrAccount }

// rename is the command that frees the name: useradd needs it to be free for a
// user and for a group. usermod refuses while a process has the ID, and with
// root's ID some process always runs; then the files are edited, which is all
// that usermod would do.
func (a account) rename() string {
	command := "usermod --login pleiad-was pleiad"
	if a.uid == 0 {
		command = "sed -i 's/^pleiad:/pleiad-was:/' /etc/passwd /etc/shadow"
	}
	if a.grouped {
		command += " && " + renameGroup
	}
	return command
}

const renameGroup = "groupmod --new-name pleiad-was pleiad"

// noSuchEntry is how getent ends where there is no such entry (getent(1)).
const noSuchEntry = 2

// machineUser finds the member's user. It is made only by a caller that is about
// to give it files, and then it must be fit. A member that already runs as an
// unfit user goes on, and its files are read with that user's rights.
func (h *Host) machineUser(ctx context.Context, create bool) (User, error) {
	a, found, err := h.account(ctx)
	if err != nil {
		return User{}, err
	}
	if !found {
		if !create {
			return User{}, nil
		}
		if err := a.free(); err != nil {
			return User{}, err
		}
		if _, err := h.Run(ctx, "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", node.StateFolder,
			"--shell", "/usr/sbin/nologin", "--comment", node.MadeByUs, node.MachineUser); err != nil {
			return User{}, err
		}
		if a, found, err = h.account(ctx); err != nil || !found {
			return User{}, errors.Join(fmt.Errorf("user %s does not exist after it was created", node.MachineUser), err)
		}
	}
	if create {
		if err := a.fit(); err != nil {
			return User{}, err
		}
	}
	return User{UID: a.uid, GID: a.gid, Ours: a.comment == node.MadeByUs}, nil
}

// free says why no account of the name can be made where there is none; nil if
// one can.
func (a account) free() error {
	if !a.grouped {
		return nil
	}
	return misfit("there is no such user, but a group of that name", "rename it: "+renameGroup)
}

// account looks the member's user up, wherever the machine keeps its users.
func (h *Host) account(ctx context.Context) (a account, found bool, err error) {
	line, found, err := h.entry(ctx, "passwd")
	if err == nil && found {
		a, err = parseAccount(line)
	}
	if err == nil {
		_, a.grouped, err = h.entry(ctx, "group")
	}
	if err == nil && found && a.uid > lastSystemUser && a.comment != node.MadeByUs {
		// If the owner cannot be read, the account counts as any other.
		owner, wrong := h.Run(ctx, "stat", "--format=%u", node.StateFolder)
		a.installed = wrong == nil && strings.TrimSpace(owner) == strconv.Itoa(a.uid)
	}
	return a, found && err == nil, err
}

// entry is the entry of a system database (passwd, group) for the member's user.
func (h *Host) entry(ctx context.Context, database string) (line string, found bool, err error) {
	line, err = h.Run(ctx, "getent", database, node.MachineUser)
	if exitCode(err) == noSuchEntry {
		return "", false, nil
	}
	return line, err == nil, err
}

// unfit is why the existing account would be refused, or why none could be made;
// zero if neither.
func (h *Host) unfit(ctx context.Context) Misfit {
	a, found, err := h.account(ctx)
	switch {
	case err != nil:
	case found:
		err = a.fit()
	default:
		err = a.free()
	}
	var bad *Misfit
	switch {
	case err == nil:
		return Misfit{}
	case errors.As(err, &bad):
		return *bad
	}
	return Misfit{err.Error(), "see why it cannot be read there: getent passwd " + node.MachineUser}
}
