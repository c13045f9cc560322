package chaos

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/e2e/site"
	"github.com/pleiad-etcd/pleiad/e2e/snapshot"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// snapshots are those of all hosts, in their order.
func (w *world) snapshots() []snapshot.Snapshot {
	w.Helper()
	out := make([]snapshot.Snapshot, len(w.Hosts))
	w.ok(w.each(func(h *bed.Host, ctx context.Context) (err error) {
		// What still starts would be found only afterwards.
		if _, err := h.Enter(ctx, "systemctl is-system-running --wait"); err != nil {
			return err
		}
		out[slices.Index(w.Hosts, h)], err = snapshot.Take(ctx, h)
		return err
	})(w.Context()))
	return out
}

// wantConverged wants nothing to do, a cluster that clients find, and a member
// process on each of its machines and nowhere else.
func (w *world) wantConverged() {
	w.Helper()
	w.ok(w.whole(w.Context()))
	who, err := w.standing(w.Context())
	w.ok(err)
	w.wantProcesses(who)
	zone, err := w.zone(w.Context())
	w.ok(err)
	for _, list := range []string{"_etcd-server-ssl._tcp.", "_etcd-client-ssl._tcp."} {
		if n := strings.Count(zone, list+domain); n != len(who.names) {
			w.Errorf("%d members on the list %s, want %d:\n%s", n, list, len(who.names), zone)
		}
	}
}

// wantProcesses wants one on each machine with a member, and none elsewhere.
func (w *world) wantProcesses(who standing) {
	w.Helper()
	for i, h := range who.machines {
		want := "0"
		if i < len(who.names) {
			want = "1"
		}
		out, err := h.Enter(w.Context(), "pgrep -cf '/[p]leiad member' || true")
		w.ok(err)
		if got := strings.TrimSpace(out); got != want {
			w.Errorf("%s members run on %s, want %s", got, h.Name, want)
		}
	}
}

// wantNothingLeft destroys the cluster, and wants hosts and zone as they were,
// but for the data of members that left; and none of pleiad's processes.
func (w *world) wantNothingLeft(before []snapshot.Snapshot) {
	w.Helper()
	_, err := w.pleiad(w.Context(), "destroy", "--yes")
	w.ok(err)
	zone, err := w.zone(w.Context())
	w.ok(err)
	if strings.Contains(zone, site.Domain) || !strings.Contains(zone, "www."+site.Zone) {
		w.Errorf("want no record of %s, and those of others:\n%s", site.Domain, zone)
	}
	for i, after := range w.snapshots() {
		if diff := snapshot.Diff(before[i], withoutKept(after)); diff != "" {
			w.Errorf("%s is not as it was:\n%s", w.Hosts[i].Name, diff)
		}
	}
	// All that pleiad starts here has its binary or the key of the hosts in its
	// arguments.
	for _, p := range processes(binary, w.Key()) {
		w.Errorf("left behind: %s", p)
	}
}

// withoutKept is a snapshot without what is kept on purpose.
func withoutKept(s snapshot.Snapshot) snapshot.Snapshot {
	out := snapshot.Snapshot{}
	for thing, is := range s {
		if path, ok := strings.CutPrefix(thing, "file "); ok && (path == node.KeptFolder || strings.HasPrefix(path, node.KeptFolder+"/")) {
			continue
		}
		out[thing] = is
	}
	return out
}

// zone is all that the name server has.
func (w *world) zone(ctx context.Context) (string, error) {
	out, err := w.Command(ctx, "dig", "@"+w.Server.Addr().Addr().String(), "+noall", "+answer", "+onesoa", "-k", w.Server.KeyFile(), site.Zone, "AXFR").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("dig: %w\n%s", err, out)
	}
	return string(out), nil
}

// processes are those with one of the words in their arguments, but for this
// one.
func processes(words ...string) []string {
	var out []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err != nil || filepath.Base(filepath.Dir(f)) == fmt.Sprint(os.Getpid()) {
			continue
		}
		if slices.ContainsFunc(words, func(w string) bool { return bytes.Contains(line, []byte(w)) }) {
			out = append(out, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return out
}
