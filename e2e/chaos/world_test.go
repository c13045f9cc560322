package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/chaos/schedule"
	"github.com/pleiad-etcd/pleiad/e2e/liar"
	"github.com/pleiad-etcd/pleiad/e2e/site"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

const (
	// domain is the discovery domain as name servers write it.
	domain = site.Domain + "."
	// disk is the size of each host's, which holds what pleiad keeps in a round.
	disk = "2G"
)

// world is a site whose hosts see its zone through a liar, and who runs pleiad
// there.
type world struct {
	testing.TB
	*site.Site
	operator site.Operator
	liar     *liar.Liar
	liarAt   netip.Addr
	rolled   int // how many times the etcd options were changed
	members  int // how many are wanted
	commands int // how many have begun
}

func open(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t}
	dir := t.TempDir()
	begun := time.Now()
	s, err := site.Open(t.Context(), dir, schedule.Machines, bed.Disk(disk))
	w.ok(err)
	w.Site = s
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.journals)
	w.ok(w.startLiar())
	home := filepath.Join(dir, "operator")
	w.ok(os.Mkdir(home, 0o700))
	w.operator, err = w.Operator(binary, home)
	w.ok(err)
	t.Logf("%d hosts and a name server after %s", len(w.Hosts), tenths(time.Since(begun)))
	return w
}

func tenths(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

// journals keeps what the hosts have to say about a failure.
func (w *world) journals() {
	if !w.Failed() {
		return
	}
	err := w.each(func(h *bed.Host, ctx context.Context) error {
		out, err := h.Enter(ctx, "journalctl --no-pager --output=short-precise")
		return errors.Join(err, os.WriteFile(filepath.Join(w.ArtifactDir(), h.Name+".journal"), []byte(out), 0o600))
	})(context.Background())
	if err != nil {
		w.Error(err)
	}
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// startLiar puts a resolver that can lie between the hosts' forwarder and the
// name server. pleiad asks the name server itself.
func (w *world) startLiar() error {
	var err error
	if w.liarAt, err = w.Address(w.Context()); err != nil {
		return err
	}
	at := netip.AddrPortFrom(w.liarAt, 53)
	udp, err := w.ListenPacket(w.Context(), at)
	if err != nil {
		return err
	}
	tcp, err := w.Listen(w.Context(), at)
	if err != nil {
		udp.Close()
		return err
	}
	w.liar = liar.Start(liar.Config{UDP: udp, TCP: tcp, Truth: w.Server.Addr(), Dial: w.Dial})
	w.Cleanup(func() {
		if err := w.liar.Close(); err != nil {
			w.Error(err)
		}
	})
	return w.Forward(w.Context(), site.Zone+".", w.liarAt)
}

// wantRound writes the spec of a round.
func (w *world) wantRound(r schedule.Round) error {
	if r.Operation == schedule.Roll {
		w.rolled++
	}
	return w.want(r.Members)
}

// want writes a spec that wants this many members.
func (w *world) want(members int) error {
	w.members = members
	text := strings.Replace(w.Spec(w.Hosts), fmt.Sprintf("members: %d", len(w.Hosts)), fmt.Sprintf("members: %d", members), 1)
	text += fmt.Sprintf("etcd:\n  options: {max-txn-ops: %d}\n", 128+w.rolled)
	return os.WriteFile(w.operator.SpecFile, []byte(text), 0o600)
}
