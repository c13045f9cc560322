package sshexec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

// sudo begins the command line of a user who is not root. What it says is told apart
// below, so it must not be translated.
const sudo = "env LC_MESSAGES=C sudo -n -- "

// obstacle is what keeps a user from becoming root.
type obstacle int

const (
	notSudo obstacle = iota // the login ended before it came to sudo
	noSuchSudo
	wantsPassword
	wantsTerminal
	sudoElse
)

// obstacleIn understands how a login ended that did not come as far as the command.
func obstacleIn(status int, said string) obstacle {
	says := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(said, w) {
				return true
			}
		}
		return false
	}
	switch {
	case status == 127 && says("env: ") && says("sudo"): // in whichever language
		return noSuchSudo
	case says("must have a tty"):
		return wantsTerminal
	case says("a password is required", "authentication is required", "not in the sudoers file", "not allowed to", "may not run sudo"):
		return wantsPassword
	case says("sudo: ", "sudo-rs: "):
		return sudoElse
	}
	return notSudo
}

// notBegun is why a login ended before the command.
func (c *connection) notBegun(status int, said string) error {
	why := lastLine(said)
	if why == "" {
		why = fmt.Sprintf("exit status %d", status)
	}
	o := notSudo
	if c.user != "root" && status != 0 {
		o = obstacleIn(status, said)
	}
	if o == notSudo {
		return fault.WithRemedy(fmt.Errorf("%w: the login of user %q ended before it: %s", ErrShell, c.user, why), c.shellRemedy())
	}
	remedy := c.overcome(o)
	if c.pool.config.Vouch == nil {
		remedy = append(remedy, "or log in as root: user: root under "+c.pool.config.Section+" in the spec")
	} else { // images do not let root log in
		remedy = append(remedy, "or log in as a user who may: user: under "+c.pool.config.Section+" in the spec")
	}
	return fault.WithRemedy(fmt.Errorf("%w for user %q: %s", ErrSudo, c.user, why), remedy...)
}

// overcome is how to let the user become root.
func (c *connection) overcome(o obstacle) []string {
	name := inSudoers.Replace(c.user)
	allow := "echo " + shell.Quote(name+" ALL=(ALL) NOPASSWD: ALL")
	const file = "/etc/sudoers.d/zz-pleiad" // of these files the last one to speak counts
	switch o {
	case noSuchSudo:
		return []string{"install sudo there, as root: apt-get install sudo, or: dnf install sudo",
			"then let the user run anything without a password, as root there: " + allow + " >" + file}
	case wantsPassword: // sudo asks for one before it says that it does not know the user
		return []string{"let the user run anything without a password, as root there: " + allow + " >" + file}
	case wantsTerminal:
		return []string{"let the user run sudo without a terminal, as root there: echo " + shell.Quote("Defaults:"+name+" !requiretty") + " >" + file + "-tty"}
	}
	return []string{"see what sudo says: " + shell.Line(slices.Concat(c.login, []string{"sudo", "-n", "true"})...)}
}

// inSudoers writes a user's name as sudoers(5) wants it.
var inSudoers = strings.NewReplacer(`\`, `\\`, "!", `\!`, "=", `\=`, ",", `\,`, ":", `\:`, "(", `\(`, ")", `\)`, " ", `\ `)

// shellRemedy is what to do about a login that gets in the way of commands.
func (c *connection) shellRemedy() string {
	return "log in there and see what a command prints and how it ends; then look for exit, exec and output in the start files of the login shell, and for ForceCommand in sshd_config: " +
		shell.Line(slices.Concat(c.login, []string{"echo ok; exit 3"})...)
}
