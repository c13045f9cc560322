package statedir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// faulty is a disk on which one effect goes wrong: the one that is left
// effects away. What then happens is how.
type faulty struct {
	disk
	left int
	how  fault
	done []string // effects so far, for messages
}

type fault struct {
	name     string
	partly   bool // half a file is written, or the effect is complete
	complete bool
	crash    bool  // the process ends there
	err      error // what the effect returns, if it does not
}

var errCrash = errors.New("crash")

func faults() []fault {
	return []fault{
		{name: "crash before", crash: true},
		{name: "crash amid", crash: true, partly: true},
		{name: "crash after", crash: true, complete: true},
		{name: "disk full", partly: true, err: syscall.ENOSPC},
		{name: "read-only", err: syscall.EROFS},
		{name: "failed but done", complete: true, err: syscall.EIO},
	}
}

// quick is the real disk without waiting for it.
type quick struct{ osDisk }

func (quick) create(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func (quick) syncDir(string) error { return nil }

// quickHome makes a home on a quick disk.
func quickHome(t *testing.T, root string) *Home {
	t.Helper()
	h, err := homeAt(root, "dev")
	if err != nil {
		t.Fatal(err)
	}
	h.disk = quick{}
	if done, err := h.create(seatOf("dev.test")); !done || err != nil {
		t.Fatalf("create home: %v, %v", done, err)
	}
	return h
}

func (d *faulty) effect(what, path string, partly func(), do func() error) error {
	d.done = append(d.done, what+" "+path)
	d.left--
	switch {
	case d.left > 0:
		return do()
	case d.left < 0 && d.how.crash:
		panic(errCrash) // clearing up after a crash: nobody does that
	case d.left < 0:
		return do()
	}
	if d.how.partly && partly != nil {
		partly()
	}
	if d.how.complete {
		if err := do(); err != nil {
			return err
		}
	}
	if d.how.crash {
		panic(errCrash)
	}
	return &fs.PathError{Op: what, Path: path, Err: d.how.err}
}

func (d *faulty) create(path string, data []byte) error {
	return d.effect("create", path, func() { _ = d.disk.create(path, data[:len(data)/2]) }, func() error { return d.disk.create(path, data) })
}
func (d *faulty) mkdir(path string) error {
	return d.effect("mkdir", path, nil, func() error { return d.disk.mkdir(path) })
}
func (d *faulty) rename(from, to string) error {
	return d.effect("rename", to, nil, func() error { return d.disk.rename(from, to) })
}
func (d *faulty) remove(path string) error {
	return d.effect("remove", path, nil, func() error { return d.disk.remove(path) })
}
func (d *faulty) syncDir(path string) error {
	return d.effect("sync", path, nil, func() error { return d.disk.syncDir(path) })
}

// attempt runs an act whose n-th effect goes wrong. It says false if the act
// has fewer effects.
func attempt(t *testing.T, h *Home, n int, how fault, act func(*Home) error) (d *faulty, reached bool, err error) {
	t.Helper()
	d = &faulty{disk: quick{}, left: n, how: how}
	h.disk = d
	defer func() {
		if r := recover(); r != nil && r != errCrash {
			panic(r)
		}
		h.disk = quick{}
		reached = d.left <= 0
	}()
	return d, true, act(h)
}

func create(h *Home) error { return h.Create(context.Background(), owner, true) }

// Whatever goes wrong at whichever effect of whichever act, the home can be
// opened and read, a CA that was ever seen stays or is gone for good, what
// stood in a file still stands there or is replaced as a whole, and the act
// can be done again.
func TestEveryActSurvivesEveryFault(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(h *Home) error
		act     func(h *Home) error
		// atEnd is what must be there after the act was done again.
		atEnd []string
		// lasting says what holds at every moment.
		lasting func(before, now cluster.Control) string
	}{
		{"create", nil, create, full(), ownerLast},
		{"add TLS", func(h *Home) error { return h.Create(context.Background(), owner, false) }, create, full(), ownerStays},
		{"create over a life that ended", func(h *Home) error {
			return errors.Join(h.Create(context.Background(), "former", true), h.Forget(context.Background()))
		}, create, full(), ownerLast},
		{"mend operator", func(h *Home) error {
			return errors.Join(create(h), os.Remove(h.path(pkiFolder, operatorKey)))
		}, create, full(), caStays},
		{"renew operator", create, func(h *Home) error { return h.RenewOperator(context.Background()) }, full(), func(before, now cluster.Control) string {
			if now.Operator == nil {
				return "there is no operator"
			}
			return caStays(before, now)
		}},
		{"save spec", create, func(h *Home) error { return h.SaveSpec([]byte("members: 3\n")) }, append(full(), "spec.yaml"), caStays},
		{"forget", create, func(h *Home) error { return h.Forget(context.Background()) }, []string{"home.json"}, func(_, now cluster.Control) string {
			if now.Owner == "" && now.CA != "" {
				return "the owner went before the CA"
			}
			return ""
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, how := range faults() {
				n := 1
				for ; oneFault(t, n, how, c.prepare, c.act, c.atEnd, c.lasting); n++ {
				}
				if n < 3 {
					t.Errorf("%s: only %d effects were tried", how.name, n-1)
				}
			}
		})
	}
}

func full() []string {
	return []string{"home.json", "pki/client-ca.crt", "pki/client-ca.key", "pki/operator.crt", "pki/operator.key", "pki/peer-ca.crt", "pki/peer-ca.key"}
}

func ownerLast(_, now cluster.Control) string {
	if now.Owner != "" && (now.CA == "" || now.Operator == nil) {
		return fmt.Sprintf("the owner came before the rest: %+v", now)
	}
	return ""
}

func ownerStays(before, now cluster.Control) string {
	if now.Owner != before.Owner {
		return fmt.Sprintf("owner %q became %q", before.Owner, now.Owner)
	}
	return ""
}

func caStays(before, now cluster.Control) string {
	if now.CA != before.CA {
		return fmt.Sprintf("CA %q became %q", before.CA, now.CA)
	}
	return ownerStays(before, now)
}

func oneFault(t *testing.T, n int, how fault, prepare, act func(*Home) error, atEnd []string, lasting func(before, now cluster.Control) string) bool {
	t.Helper()
	root := t.TempDir()
	h := quickHome(t, root)
	if prepare != nil {
		if err := prepare(h); err != nil {
			t.Fatal(err)
		}
	}
	before, err := h.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d, reached, err := attempt(t, h, n, how, act)
	if !reached {
		return false
	}
	where := fmt.Sprintf("%s at effect %d (%s)", how.name, n, d.done[n-1])
	if err != nil && !strings.Contains(err.Error(), how.err.Error()) {
		t.Errorf("%s: error %v does not tell the cause", where, err)
	}
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.Hint == "" || !errors.Is(err, ErrUnwritable)) {
		t.Errorf("%s: error %v is not of the kind %v with a hint", where, err, ErrUnwritable)
	}
	h, err = Open(root, "dev")
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	h.disk = quick{}
	now, err := h.Inspect(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	if lasting != nil {
		if broken := lasting(before, now); broken != "" {
			t.Errorf("%s: %s", where, broken)
		}
	}
	if err := act(h); err != nil {
		t.Fatalf("%s: again: %v", where, err)
	}
	end, err := h.Inspect(t.Context())
	if err != nil {
		t.Fatalf("%s: again: %v", where, err)
	}
	if now.CA != "" && end.CA != "" && now.CA != end.CA {
		t.Errorf("%s: the CA that was made was replaced", where)
	}
	checkEnd(t, where, h, end, atEnd)
	return true
}

// checkEnd wants exactly these files beside the lock, and no half of anything.
func checkEnd(t *testing.T, where string, h *Home, end cluster.Control, want []string) {
	t.Helper()
	var have []string
	for _, line := range tree(t, h.Dir()) {
		if mode, name, _ := strings.Cut(line, " "); mode[0] != 'd' && name != "lock" {
			have = append(have, name)
		}
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("%s: files (-want +have):\n%s", where, d)
	}
	if complete := slices.Contains(want, "pki/client-ca.key"); complete != (end.CA != "" && end.Operator != nil && end.Owner == owner) {
		t.Errorf("%s: at the end %+v", where, end)
	}
}

// Making a home survives the same.
func TestCreatingAHomeSurvivesEveryFault(t *testing.T) {
	for _, how := range faults() {
		for n := 1; ; n++ {
			root := t.TempDir()
			h, err := homeAt(root, "dev")
			if err != nil {
				t.Fatal(err)
			}
			d, reached, err := attempt(t, h, n, how, func(h *Home) error { _, err := h.create(seatOf("dev.test")); return err })
			if !reached {
				break
			}
			where := fmt.Sprintf("%s at effect %d (%s)", how.name, n, d.done[n-1])
			if err != nil && !errors.Is(err, ErrUnwritable) {
				t.Errorf("%s: %v", where, err)
			}
			if _, err := Open(root, "dev"); err != nil && !errors.Is(err, ErrNone) {
				t.Errorf("%s: Open: %v", where, err)
			}
			again := newHome(t, root)
			checkEnd(t, where, again, cluster.Control{}, []string{"home.json"})
		}
	}
}

// Removing one, too: until it is done the home is there, and then nothing is.
func TestRemovingAHomeSurvivesEveryFault(t *testing.T) {
	for _, how := range faults() {
		for n := 1; ; n++ {
			root := t.TempDir()
			h := quickHome(t, root)
			if err := errors.Join(create(h), h.SaveSpec([]byte("x")), h.Forget(t.Context())); err != nil {
				t.Fatal(err)
			}
			lock, err := h.Lock("pleiad destroy")
			if err != nil {
				t.Fatal(err)
			}
			d, reached, err := attempt(t, h, n, how, func(h *Home) error { _, err := h.Remove(lock); return err })
			if !reached {
				break
			}
			where := fmt.Sprintf("%s at effect %d (%s)", how.name, n, d.done[n-1])
			if err != nil && !errors.Is(err, ErrUnwritable) {
				t.Errorf("%s: %v", where, err)
			}
			_ = lock.lock.Release() // as the kernel does
			again, err := Open(root, "dev")
			if errors.Is(err, ErrNone) {
				continue
			}
			if err != nil {
				t.Fatalf("%s: Open: %v", where, err)
			}
			relock, err := again.Lock("pleiad destroy")
			if err != nil {
				t.Fatalf("%s: Lock: %v", where, err)
			}
			if left, err := again.Remove(relock); err != nil || len(left) > 0 {
				t.Errorf("%s: Remove again: %v, %v", where, left, err)
			}
			if _, err := os.Lstat(again.Dir()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: the folder is still there", where)
			}
		}
	}
}
