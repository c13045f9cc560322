//go:build linux

package systemd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/systemd"
)

// another is a deliverer of another pleiad, for the same machines.
func (w *world) another() *systemd.Deliverer {
	w.Helper()
	self := filepath.Join(w.TempDir(), "pleiad")
	writeBuild(w.T, self, amd64)
	mine := w.builds
	w.builds = systemd.NewBuilds("/dev/null", map[string]string{"amd64": self}, "hosts.ec2")
	d := w.deliverer()
	w.builds = mine
	return d
}

// A machine keeps the pleiad that it has, until it is to have the one of now; and what
// would be delivered is known before.
func TestProgramIsRenewedOnlyIfWanted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.host("etcd-k3v9qd2")
	if err := w.deliverer().Install(t.Context(), h, rendered(h), nil, false); err != nil {
		t.Fatal(err)
	}
	d := w.another()
	before, err := d.Inspect(t.Context(), h)
	if err != nil || !before.Next.Program.Differs(before.Offered) {
		t.Fatalf("%v: %v would start, %v is offered: want two programs", err, before.Next.Program, before.Offered)
	}
	for _, renew := range []bool{false, true} {
		if err := d.Install(t.Context(), h, rendered(h), nil, renew); err != nil {
			t.Fatal(err)
		}
		n, err := d.Inspect(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		if want := before.Next.Program; !renew && n.Next.Program != want {
			t.Errorf("%v would start, want the one of before, %v", n.Next.Program, want)
		} else if renew && n.Next.Program != before.Offered {
			t.Errorf("%v would start, want the one of now, %v", n.Next.Program, before.Offered)
		}
	}
}

// A pleiad that does not work is no pleiad: the machine is inspected by ours, and the
// next delivery takes its place (rule R1: or else the machine would be unknown for ever).
func TestProgramThatDoesNotGreet(t *testing.T) {
	t.Parallel()
	for name, greets := range map[string]func(string) string{
		"says nothing":       func(string) string { return "" },
		"says something":     func(string) string { return "usage: pleiad COMMAND\n" },
		"says something odd": func(string) string { return "[1]\n" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			h := w.host("etcd-k3v9qd2")
			m := w.machine(h.Address)
			if err := w.another().Install(t.Context(), h, rendered(h), nil, false); err != nil {
				t.Fatal(err)
			}
			broken := filepath.Dir(w.starts(m))
			m.greets = func(text string) string {
				if strings.Contains(text, filepath.Base(broken)) {
					m.hangUp()
					return greets(text)
				}
				return text
			}
			d := w.deliverer()
			n, err := d.Inspect(t.Context(), h)
			if err != nil || n.Installed == "" || len(n.Drift) != 1 || !strings.Contains(n.Drift[0], "does not work") {
				t.Fatalf("%+v, %v; want the node, and that its program does not work", n, err)
			}
			if err := d.Install(t.Context(), h, rendered(h), nil, false); err != nil {
				t.Fatal(err)
			}
			if n, err = d.Inspect(t.Context(), h); err != nil || len(n.Drift) > 0 || n.Next.Program != n.Offered {
				t.Errorf("%+v, %v; want ours, and no drift", n, err)
			}
		})
	}
}

// starts is the program that the unit on a machine starts.
func (w *world) starts(m *machine) string {
	w.Helper()
	unit, err := os.ReadFile(m.Path(node.UnitFile))
	if err != nil {
		w.Fatal(err)
	}
	_, command, _ := strings.Cut(string(unit), "ExecStart=")
	return strings.Fields(command)[0]
}
