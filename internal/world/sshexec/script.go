package sshexec

import (
	"fmt"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

// loginLine is the command line that has the login shell of a user run a script as
// root. It is one line without anything that sh, fish and csh read differently:
// csh ends a quoted word at a newline and expands "!" in it, fish unescapes
// backslashes. So these are octal in it, and printf puts them back (POSIX,
// printf, %b). The standard input stays free for what the script reads.
func loginLine(user, script string) string {
	line := `/bin/sh -c 'eval "$(printf %b "$0")"' '` + octal.Replace(script) + `'`
	if user != "root" {
		line = sudo + line
	}
	return "exec " + line
}

var octal = strings.NewReplacer(`\`, `\0134`, `'`, `\0047`, "!", `\0041`, "\n", `\0012`, "\r", `\0015`)

// begun is a script with the mark before it on a line of its own, on both
// streams. What a login prints comes before the mark. A command that does not
// parse shows it too.
func begun(mark, script string) string {
	return fmt.Sprintf(`printf '\n%[1]s\n'; echo %[1]s >&2; `, mark) + script
}

// become is a script that becomes the command.
func become(command string) string { return "exec /bin/sh -c " + shell.Quote(command) }

// framed is a script that prints the mark again after the command, with its exit
// status: a program between sshd and the command may add words of its own there
// too, and may keep the status for itself.
func framed(mark, command string) string {
	return fmt.Sprintf(`/bin/sh -c %[2]s; s=$?; printf '\n%[1]s %%d\n' $s; exit $s`, mark, shell.Quote(command))
}

// patient is a script that reads others from its stdin, each on a line, and runs
// them; told is such a line. read takes no more than the line (POSIX, read, of
// input that cannot be sought in): what follows is for the script.
const patient = `while IFS= read -r line; do eval "$(printf %b "$line")"; done`

func told(mark, script string) string {
	return octal.Replace(fmt.Sprintf(`echo %s >&2; `, mark)+script) + "\n"
}

// asked is a framed command without input after which the shell goes on, if the
// command succeeded.
func asked(mark, command string) string {
	return fmt.Sprintf(`/bin/sh -c %[2]s </dev/null; s=$?; printf '\n%[1]s %%d\n' $s; [ $s -eq 0 ] || exit $s`, mark, shell.Quote(command))
}

// tied is a command that ends when its stdin does. sshd closes the stdin of a
// session that is gone but lets its processes run until they next write, and
// may not signal those of sudo. So a watcher waits for the end of stdin and
// ends the command with all that it started, where setsid can give it a group.
// The watcher holds neither stdout nor stderr, else the session would not end.
func tied(command string) string {
	return `sh -c ` + shell.Quote(`exec 3<&0 </dev/null
if command -v setsid >/dev/null 2>&1; then setsid sh -c "$0" 3<&- & else sh -c "$0" 3<&- & fi
p=$!
{ cat >/dev/null; kill -s TERM -- -$p || kill -s TERM $p; } <&3 >/dev/null 2>&1 3<&- &
w=$!
exec 3<&-
wait $p; s=$?
kill $w 2>/dev/null
exit $s`) + " " + shell.Quote(command)
}

// fed is a command whose stdin comes in mouthfuls and a rest. For each mouthful
// a byte goes to stdout once the command has swallowed it, but for what is in a
// pipe. Where dd cannot do that, all of it counts as swallowed at once.
//
// It is for sh, whose processes are cheaper to start than those of a login
// shell, but which does not run the command's EXIT trap when a signal ends it. SIGPIPE
// is one of them: sh says on stderr that what it waited for was terminated, and
// by then sshd may have closed that.
func fed(command string, size int) string {
	return `exec sh -c ` + shell.Quote(fmt.Sprintf(`exec 3>&1
{
	i=0
	while [ $i -lt %[1]d ] && dd bs=%[2]d count=1 iflag=fullblock status=none 2>/dev/null; do echo >&3; i=$((i + 1)); done
	while [ $i -lt %[1]d ]; do echo >&3; i=$((i + 1)); done
	cat 2>/dev/null
} | sh -c "$0" >/dev/null 3>&-`, size/mouthful, mouthful)) + " " + shell.Quote("trap 'exit 143' HUP INT TERM PIPE\n"+command)
}
