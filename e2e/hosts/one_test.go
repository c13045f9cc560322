package hosts

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

// claimed is the name under which a host is claimed, empty if it is not.
func (w *world) claimed(h *bed.Host) string {
	w.Helper()
	raw := w.on(h, "cat /etc/pleiad/host.json 2>/dev/null || true")
	if raw == "" {
		return ""
	}
	var claim struct{ Name string }
	w.ok(json.Unmarshal([]byte(raw), &claim))
	return claim.Name
}

// hostOf is the host that is claimed by a name.
func (w *world) hostOf(name string) *bed.Host {
	w.Helper()
	i := slices.IndexFunc(w.Hosts, func(h *bed.Host) bool { return w.claimed(h) == name })
	if i < 0 {
		w.Fatalf("no host is claimed by %s", name)
	}
	return w.Hosts[i]
}

// formed are the cluster IDs that etcd has ever spoken of on these hosts since
// a moment, as their journals tell. What a log says of other members' IDs
// counts too.
func (w *world) formed(hosts []*bed.Host, since string) []string {
	w.Helper()
	var ids []string
	for _, h := range hosts {
		out := w.on(h, `journalctl --unit=pleiad-member --output=cat --quiet --since='`+since+`' | grep -oE '"(remote-(peer-)?|local-(member-)?)?cluster-id":"[0-9a-f]+"' | cut -d'"' -f4 || true`)
		ids = append(ids, strings.Fields(out)...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// now is the hosts' clock, for journals.
func (w *world) now() string { return time.Now().Format("2006-01-02 15:04:05.000000") }

// wantOne looks for anything doubled: one cluster on all hosts, one record for
// each of its members, and one cluster ID ever.
func (w *world) wantOne(since string) {
	w.Helper()
	if ids := w.formed(w.Hosts, since); len(ids) != 1 {
		w.Errorf("cluster IDs %v were formed, want one", ids)
	}
	var claimed, listed []string
	for _, h := range w.Hosts {
		name := w.claimed(h)
		claimed = append(claimed, name)
		if got := w.records(name+"."+domain, "A"); !slices.Equal(got, []string{h.Addr.String()}) {
			w.Errorf("%s has addresses %v, want %s", name, got, h.Addr)
		}
		if n := w.on(h, "pgrep -cf '/[p]leiad member' || true"); n != "1\n" {
			w.Errorf("%q members run on %s, want 1", n, h.Name)
		}
	}
	for _, v := range w.records(serverSRV, "SRV") {
		_, target, _ := strings.Cut(v, "2380 ")
		listed = append(listed, strings.TrimSuffix(target, "."+domain))
	}
	slices.Sort(claimed)
	slices.Sort(listed)
	if !slices.Equal(claimed, listed) || len(slices.Compact(claimed)) != len(w.Hosts) {
		w.Errorf("hosts are claimed by %v, listed are %v", claimed, listed)
	}
	if marker := w.records("_pleiad."+domain, "TXT"); len(marker) != 1 || !strings.Contains(marker[0], "state=sealed") {
		w.Errorf("the marker is %q", marker)
	}
}
