package hosts

import (
	"strings"
	"testing"
)

// An account or a group of the member's name that was there before is refused
// with the commands that help. Done as printed the member gets its own, and what
// was there stays under another name.
func TestAccountThatWasThere(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 1)
	h := w.Hosts[0]
	const rename = "rename it: "
	for _, c := range []struct{ name, before, why, remedy, stays string }{
		{"root under another name", "useradd -o -u 0 -g 0 -M pleiad", "its ID is 0", rename, "getent passwd pleiad-was"},
		{"root with a group", "useradd -o -u 0 -U -M pleiad", "its ID is 0", rename, "getent passwd pleiad-was && getent group pleiad-was"},
		{"of root's group", "useradd -r -N -g 0 -M -s /usr/sbin/nologin pleiad", "root's group", rename, "getent passwd pleiad-was"},
		{"a person's", "useradd -u 1001 -U -M -s /bin/bash pleiad", "its ID is 1001", rename, "getent passwd pleiad-was && getent group pleiad-was"},
		{"a person's without a group", "useradd -u 1001 -N -M -s /usr/sbin/nologin pleiad", "its ID is 1001", rename, "getent passwd pleiad-was"},
		{"with a login", "useradd -r -U -M -s /bin/bash pleiad", "its shell is", "disable its login: ", "getent passwd pleiad"},
		{"with a login, renamed", "useradd -r -U -M -s /bin/bash pleiad", "its shell is", rename, "getent passwd pleiad-was"},
		{"a group alone", "groupadd pleiad", "a group of that name", rename, "getent group pleiad-was"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.in(t)
			o := o.in(w)
			w.on(h, c.before)
			r := o.start("up", "--timeout", "5s")
			r.ends(1, c.why, c.remedy)
			line, _ := r.reason()
			_, command, _ := strings.Cut(line, c.remedy)
			command, _, _ = strings.Cut(command, "; ")
			w.on(h, command)
			o.must("up")
			o.must("destroy", "--yes")
			w.on(h, c.stays+"; for n in pleiad pleiad-was; do sed -i \"/^$n:/d\" /etc/passwd /etc/shadow /etc/group /etc/gshadow; done")
		})
	}
}
