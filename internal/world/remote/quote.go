package remote

import (
	"fmt"
	"strings"
)

// Quote makes one word of a POSIX shell from any text without NUL bytes, which
// no command line can carry.
func Quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_+:,./-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// rootMark is the first line on stderr of a command that sudo let through. It
// tells sudo's own failure from the command's, in any language.
const rootMark = "pleiad: root"

// asRoot is the command line for the login shell of a user that runs a command
// as root. What sudo starts is the same whatever the command holds: a command
// that does not parse must still show the mark.
func asRoot(user, command string) string {
	if user == "root" {
		return command
	}
	return "sudo -n -- sh -c " + Quote(`echo "`+rootMark+`" >&2; exec sh -c "$0"`) + " " + Quote(command)
}

// tied is a command that ends when its stdin does. sshd closes the stdin of a
// session that is gone but lets its processes run until they next write, and
// may not signal those of sudo. So a watcher waits for the end of stdin and
// ends the command with all that it started, where setsid can give it a group.
// The watcher holds neither stdout nor stderr, else the session would not end.
func tied(command string) string {
	return `sh -c ` + Quote(`exec 3<&0 </dev/null
if command -v setsid >/dev/null 2>&1; then setsid sh -c "$0" 3<&- & else sh -c "$0" 3<&- & fi
p=$!
{ cat >/dev/null; kill -s TERM -- -$p || kill -s TERM $p; } <&3 >/dev/null 2>&1 3<&- &
w=$!
exec 3<&-
wait $p; s=$?
kill $w 2>/dev/null
exit $s`) + " " + Quote(command)
}

// fed is a command whose stdin comes in mouthfuls and a rest. For each mouthful
// a byte goes to stdout once the command has swallowed it, but for what is in a
// pipe. Where dd cannot do that, all of it counts as swallowed at once.
//
// It is for sh, whose processes are cheaper to start than those of a login
// shell, but which does not run the command's EXIT trap when a signal ends it.
func fed(command string, size int) string {
	return `exec sh -c ` + Quote(fmt.Sprintf(`exec 3>&1
{
	i=0
	while [ $i -lt %[1]d ] && dd bs=%[2]d count=1 iflag=fullblock status=none 2>/dev/null; do echo >&3; i=$((i + 1)); done
	while [ $i -lt %[1]d ]; do echo >&3; i=$((i + 1)); done
	cat 2>/dev/null
} | sh -c "$0" >/dev/null 3>&-`, size/mouthful, mouthful)) + " " + Quote("trap 'exit 143' HUP INT TERM\n"+command)
}
