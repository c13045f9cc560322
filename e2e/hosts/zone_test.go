package hosts

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/e2e/site"
)

// nsupdate changes the zone as a person would who has its key.
func (w *world) nsupdate(commands ...string) {
	w.Helper()
	cmd := w.Command(w.Context(), "nsupdate", "-v", "-k", w.Server.KeyFile())
	at := w.Server.Addr()
	cmd.Stdin = strings.NewReader(fmt.Sprintf("server %s %d\n%s\nsend\n", at.Addr(), at.Port(), strings.Join(commands, "\n")))
	if out, err := cmd.CombinedOutput(); err != nil {
		w.Fatalf("nsupdate %q: %v\n%s", commands, err, out)
	}
}

// dig asks the name server itself, and returns the lines of the answer, sorted.
func (w *world) dig(question ...string) []string {
	w.Helper()
	out, err := w.Command(w.Context(), "dig", append([]string{"@" + w.Server.Addr().Addr().String()}, question...)...).Output()
	w.ok(err)
	lines := slices.DeleteFunc(strings.Split(string(out), "\n"), func(l string) bool { return l == "" })
	slices.Sort(lines)
	return lines
}

// records are the values of a record set.
func (w *world) records(name, rrtype string) []string {
	w.Helper()
	return w.dig("+short", "+norecurse", "+tcp", name, rrtype)
}

// zone is all that the name server has, but for the serial number.
func (w *world) zone() string {
	w.Helper()
	lines := w.dig("+noall", "+answer", "+onesoa", "-k", w.Server.KeyFile(), site.Zone, "AXFR")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, "\tSOA\t") || strings.Contains(l, "TSIG") })
	return strings.Join(lines, "\n")
}
