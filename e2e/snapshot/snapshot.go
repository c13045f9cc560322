// Package snapshot tells whether a host is as it was: [Take] writes down all
// that stays on a machine, every file with its mode, owner and content, users,
// groups, enabled, active and failed units, who listens; [Diff] says what two
// snapshots of one host do not share.
//
// What a running Debian changes by itself is left out: see [changing]. So are
// times, as reading a file or making one in a folder and taking it away again
// leaves a trace there that harms nobody.
package snapshot

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

// Snapshot is a host at a moment: what stays on it, each thing with all that
// was noted of it. Keys are such as "file /etc/hosts" or "user root".
type Snapshot map[string]string

// changing are the files that a Debian left alone changes, or that are not on
// its disk; patterns of find's -path.
func changing() []string {
	return []string{
		"/proc", "/sys", "/run", "/dev", "/tmp",
		"/var/log/journal",
		"/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog", "/var/log/faillog",
		"/var/lib/systemd/random-seed", "/var/lib/systemd/timers",
		// Folders of units with PrivateTmp=, named at random at each start.
		"/var/tmp/systemd-private-*",
		// The copies that useradd and its like keep of what was before.
		"/etc/passwd-", "/etc/shadow-", "/etc/group-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-", "/etc/.pwd.lock",
	}
}

// Take takes a snapshot of a host that is on, reachable or not.
func Take(ctx context.Context, h *bed.Host) (Snapshot, error) {
	s := Snapshot{}
	for _, note := range []func(context.Context, *bed.Host, Snapshot) error{files, contents, system} {
		if err := note(ctx, h, s); err != nil {
			return nil, fmt.Errorf("snapshot of %s: %w", h.Name, err)
		}
	}
	return s, nil
}

// walk is a find over the host's own disk that does action on what is not
// left out. Names may hold anything but NUL.
func walk(action string) string {
	var out []string
	for _, p := range changing() {
		out = append(out, "-path '"+p+"'")
	}
	return `find / -xdev \( ` + strings.Join(out, " -o ") + ` \) -prune -o ` + action
}

// files notes type, mode, owner, and where links lead.
func files(ctx context.Context, h *bed.Host, s Snapshot) error {
	out, err := h.Enter(ctx, walk(`-printf '%y %m %U:%G %l\t%p\0'`))
	if err != nil {
		return err
	}
	for item := range strings.SplitSeq(out, "\x00") {
		if is, path, ok := strings.Cut(item, "\t"); ok {
			s["file "+path] = strings.TrimSpace(is)
		}
	}
	return nil
}

// contents adds the digests of what is in the files; but files that nobody has
// touched since the host was made are the image's, and reading all of these
// takes long. ctime cannot be set by whoever touches. Those of /etc are read in
// any case: what useradd writes anew, userdel may bring back as it was.
func contents(ctx context.Context, h *bed.Host, s Snapshot) error {
	made, err := h.Made()
	if err != nil {
		return err
	}
	out, err := h.Enter(ctx, walk(fmt.Sprintf(`-type f \( -newerct @%d -o -path '/etc/*' \) -print0`, made.Unix()-1))+` | xargs -0 sha256sum --zero`)
	if err != nil {
		return err
	}
	for item := range strings.SplitSeq(out, "\x00") {
		if digest, path, ok := strings.Cut(item, "  "); ok {
			s["file "+path] += " sha256:" + digest
		}
	}
	return nil
}

// system notes what is better read as what it means than as the files it
// stands in. What systemd says is read before it goes into a pipe, which would
// make nothing of its failure; on a busy machine it needs longer than it is
// given by default.
func system(ctx context.Context, h *bed.Host, s Snapshot) error {
	out, err := h.Enter(ctx, `set -e
export SYSTEMD_BUS_TIMEOUT=100s
enabled=$(systemctl list-unit-files --state=enabled,enabled-runtime --plain --no-legend)
failed=$(systemctl list-units --state=failed --plain --no-legend)
active=$(systemctl list-units --type=service,mount,timer,path,socket --state=active --plain --no-legend)
getent passwd | sed 's/:/\t/; s/^/user /'
getent group | sed 's/:/\t/; s/^/group /'
echo "$enabled" | awk 'NF { print "enabled " $1 "\tyes" }'
echo "$failed" | awk 'NF { print "failed " $1 "\tyes" }'
echo "$active" |
  grep -Ev '^(user@|user-runtime-dir@|run-user-|tmp\.mount|run-|dev-|sys-|proc-|-\.mount|systemd-tmpfiles-clean)' | awk 'NF { print "active " $1 "\tyes" }'
ss -Hlntu | awk '{ print "listens " $1 " " $5 "\tyes" }'
cat -n /etc/hosts | sed 's/^ */line of \/etc\/hosts /'
`)
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		thing, is, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		s[thing] = is
	}
	return nil
}

// Diff says what changed between two snapshots, a line a thing, sorted: "+"
// came, "-" went, "~" is different. It is empty if nothing did.
func Diff(before, after Snapshot) string {
	var b strings.Builder
	things := maps.Clone(before)
	maps.Copy(things, after)
	for _, thing := range slices.Sorted(maps.Keys(things)) {
		was, had := before[thing]
		is, has := after[thing]
		switch {
		case !had:
			fmt.Fprintf(&b, "+ %s: %s\n", thing, is)
		case !has:
			fmt.Fprintf(&b, "- %s: %s\n", thing, was)
		case was != is:
			fmt.Fprintf(&b, "~ %s: %s, was %s\n", thing, is, was)
		}
	}
	return b.String()
}
