package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/node"
)

// ended is how a program ended that did not succeed.
type ended int

func (e ended) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
func (e ended) ExitCode() int { return int(e) }

// users is a machine with at most one account, the member's.
type users struct {
	entry string
	group string // that is there already
	made  int
	owner string // of the state folder
}

func (u *users) run(_ context.Context, program string, args ...string) (string, error) {
	switch {
	case program == "useradd":
		u.made++
		u.entry = "pleiad:x:997:997:" + node.MadeByUs + ":/var/lib/pleiad:/usr/sbin/nologin"
	case program == "stat":
		return u.owner + "\n", nil
	case program == "getent" && strings.Join(args, " ") == "group pleiad":
		if u.group == "" {
			return "", ended(2)
		}
		return u.group + "\n", nil
	case program != "getent" || strings.Join(args, " ") != "passwd pleiad":
		return "", fmt.Errorf("unexpected: %s %q", program, args)
	case u.entry == "":
		return "", ended(2)
	case u.entry == "unreadable":
		return "", ended(1)
	}
	return u.entry + "\n", nil
}

// An account that was there before becomes the member's only if it gives nobody
// anything; a member that runs is looked at whatever became of its account.
func TestAccount(t *testing.T) {
	t.Parallel()
	const (
		byHand  = "; rename it: sed -i 's/^pleiad:/pleiad-was:/' /etc/passwd /etc/shadow && groupmod --new-name pleiad-was pleiad"
		byName  = "; rename it: usermod --login pleiad-was pleiad && groupmod --new-name pleiad-was pleiad"
		noLogin = "; disable its login: usermod --shell /usr/sbin/nologin pleiad; or rename it: usermod --login pleiad-was pleiad && groupmod --new-name pleiad-was pleiad"
	)
	for _, tt := range []struct {
		name, entry string
		says        string // of the refusal; empty for none
		ours        bool
		remedy      string // as printed; carried out on a machine in e2e/hosts
	}{
		{"ours", "pleiad:x:997:997:" + node.MadeByUs + ":/var/lib/pleiad:/usr/sbin/nologin", "", true, ""},
		{"ours, where the system's IDs go further", "pleiad:x:60001:60001:" + node.MadeByUs + ":/var/lib/pleiad:/usr/sbin/nologin", "", true, ""},
		{"made for us", "pleiad:x:450:450::/nonexistent:/bin/false", "", false, ""},
		{"root", "pleiad:x:0:997:" + node.MadeByUs + ":/root:/usr/sbin/nologin", "it is root", true, byHand},
		{"root's group", "pleiad:x:997:0:" + node.MadeByUs + ":/root:/usr/sbin/nologin", "root's group", true, byName},
		{"login", "pleiad:x:450:450:Pleiades:/home/pleiad:/bin/bash", `its shell is "/bin/bash"`, false, noLogin},
		{"ours, but with a login since", "pleiad:x:997:997:" + node.MadeByUs + ":/var/lib/pleiad:/bin/sh", `its shell is "/bin/sh"`, true, noLogin},
		{"no shell means sh", "pleiad:x:450:450:::", `its shell is ""`, false, noLogin},
		{"of an installation", "pleiad:x:1002:1002::/nonexistent:/usr/sbin/nologin", "", false, ""},
		{"of an installation, but with a login", "pleiad:x:1002:1002::/nonexistent:/bin/sh", `its shell is "/bin/sh"`, false, noLogin},
		{"a person's", "pleiad:x:1001:1001:Pleiades:/home/pleiad:/usr/sbin/nologin", "its ID is 1001", false, byName},
		{"a person's with a login", "pleiad:x:1001:1001:Pleiades:/home/pleiad:/bin/bash", "its ID is 1001", false, byName},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &Host{Run: (&users{entry: tt.entry, owner: "1002", group: "pleiad:x:1001:"}).run}
			_, err := h.machineUser(t.Context(), true)
			if refused := errors.Is(err, ErrAccount); refused != (tt.says != "") || refused && (!strings.Contains(err.Error(), tt.says) || !strings.HasSuffix(err.Error(), tt.remedy)) {
				t.Errorf("for a delivery: %v, want %q%s", err, tt.says, tt.remedy)
			}
			if bad := h.unfit(t.Context()); !strings.Contains(bad.Why, tt.says) || bad.Remedy != strings.TrimPrefix(tt.remedy, "; ") {
				t.Errorf("for the doctor: %+v, want %q%s", bad, tt.says, tt.remedy)
			}
			if u, err := h.machineUser(t.Context(), false); err != nil || u.Ours != tt.ours {
				t.Errorf("for a look: %+v, %v, want ours %t", u, err, tt.ours)
			}
		})
	}
}

func TestAccountIsMade(t *testing.T) {
	t.Parallel()
	u := &users{}
	h := &Host{Run: u.run}
	if got, err := h.machineUser(t.Context(), false); err != nil || got != (User{}) || u.made != 0 {
		t.Errorf("for a look: %+v, %v, made %d times, want none", got, err, u.made)
	}
	if bad := h.unfit(t.Context()); bad != (Misfit{}) {
		t.Errorf("for the doctor: %+v, want that there is none yet to be fine", bad)
	}
	for range 2 {
		if got, err := h.machineUser(t.Context(), true); err != nil || got != (User{UID: 997, GID: 997, Ours: true}) || u.made != 1 {
			t.Errorf("for a delivery: %+v, %v, made %d times, want it made once", got, err, u.made)
		}
	}
	// Unknown is not absent.
	u.entry = "unreadable"
	if _, err := h.machineUser(t.Context(), true); err == nil || u.made != 1 {
		t.Errorf("where users cannot be read: %v, made %d times, want an error", err, u.made)
	}
	if bad := h.unfit(t.Context()); bad.Why == "" || bad.Remedy == "" {
		t.Errorf("for the doctor, where users cannot be read: %+v", bad)
	}
}

// A group of the name keeps the account from being made, with or without an
// account.
func TestAccountsGroup(t *testing.T) {
	t.Parallel()
	u := &users{group: "pleiad:x:1001:"}
	h := &Host{Run: u.run}
	const want = "; rename it: groupmod --new-name pleiad-was pleiad"
	if _, err := h.machineUser(t.Context(), true); !errors.Is(err, ErrAccount) || !strings.HasSuffix(err.Error(), want) || u.made != 0 {
		t.Errorf("for a delivery: %v, made %d times, want %q", err, u.made, want)
	}
	if bad := h.unfit(t.Context()); "; "+bad.Remedy != want {
		t.Errorf("for the doctor: %+v, want %q", bad, want)
	}
	if got, err := h.machineUser(t.Context(), false); err != nil || got != (User{}) {
		t.Errorf("for a look: %+v, %v", got, err)
	}
	// Without a group there is none to rename.
	h.Run = (&users{entry: "pleiad:x:1001:100:Pleiades:/home/pleiad:/bin/bash"}).run
	if bad := h.unfit(t.Context()); bad.Remedy != "rename it: usermod --login pleiad-was pleiad" {
		t.Errorf("without a group of the name: %+v", bad)
	}
}
