package hosts

import (
	"strings"
	"testing"
)

// Root writes into folders that belong to the member's user. Whoever has become
// that user must not lead root elsewhere by a link.
func TestLinksLeadNowhere(t *testing.T) {
	t.Parallel()
	w, o := newWorld(t, 1)
	o.must("up")
	h := w.Hosts[0]
	exec := func(command string) string {
		t.Helper()
		out, err := h.Exec(t.Context(), command)
		w.ok(err)
		return out
	}
	exec("mkdir -p /etc/victim && mv /var/lib/pleiad/config /var/lib/pleiad/moved && ln -s /etc/victim /var/lib/pleiad/config")
	if r := o.start("up", "--timeout", "3s"); r.end() == 0 || r.lacks("/var/lib/pleiad/config") != nil {
		t.Errorf("up over a link: want an error that names it, got %s", r)
	}
	if left := exec("find /etc/victim -mindepth 1"); strings.TrimSpace(left) != "" {
		t.Errorf("root was led to write %s", left)
	}
	if owner := strings.TrimSpace(exec("stat -c %U /etc/victim")); owner != "root" {
		t.Errorf("root was led to give /etc/victim to %s", owner)
	}
	exec("rm /var/lib/pleiad/config && mv /var/lib/pleiad/moved /var/lib/pleiad/config")
	o.must("up")
	o.must("health")
}
