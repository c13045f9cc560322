package hosts

import (
	"context"
	"testing"
)

// An operator whose machine does not resolve the zone makes a cluster all the same, is
// told what is missing, and reaches the members without their names.
func TestUnresolved(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 3)
	// Nobody answers there.
	mute := w.file("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
	blind := func(code int, words []string, args ...string) {
		t.Helper()
		r := o.prepare(args...)
		argv := append([]string{"-c", `mount --bind "$1" /etc/resolv.conf; shift; exec "$@"`, "sh", mute, o.Binary, args[0], "-f", o.SpecFile, "--state-dir", o.StateDir}, args[1:]...)
		env := r.cmd.Env
		r.cmd = o.At.Command(context.Background(), "sh", argv...)
		r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr = env, &r.said, &r.said
		if got := r.start().end(); got != code || r.lacks(words...) != nil {
			t.Errorf("exit %d, want %d with %q: %s", got, code, words, r)
		}
	}

	blind(12, []string{"is up: 3 members", "its 3 members are as the spec says, but this machine does not find them in DNS", "pleiad doctor", "pleiad health --direct"}, "up", "--timeout", "30s")
	blind(1, []string{"resolver here", "does not resolve zone", "let the name servers in /etc/resolv.conf here forward", "pleiad health --direct"}, "doctor")
	blind(1, []string{"reach the members without their names: pleiad health --direct"}, "health")
	blind(0, []string{"cluster is healthy, asked by address"}, "health", "--direct")
	blind(0, []string{"OK"}, "etcdctl", "--direct", "--", "put", "greeting", "hello")
	blind(0, []string{"hello"}, "etcdctl", "--direct", "--", "get", "greeting")
	blind(0, []string{"export ETCDCTL_ENDPOINTS=https://", "https://" + w.Hosts[0].Addr.String() + ":2379"}, "env", "--direct")
	blind(0, []string{"sealed, 3 of 3 members healthy"}, "status")

	// With name servers that forward the zone, nothing is missing.
	o.must("doctor")
	o.must("up")
	o.must("health")
	o.must("etcdctl", "--", "get", "greeting")
}
