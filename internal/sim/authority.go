package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/pki"
)

// secret is in every private key of this world, and must never be seen
// anywhere but on its host (rule R15).
const secret = "PRIVATE KEY"

// Store is one state directory: what controllers of one owner share.
type Store struct{ control cluster.Control }

// Copy is a copy of the state directory, as on a second machine.
func (s *Store) Copy() *Store { return &Store{control: s.control} }

// Duplicate is a copy of the folder that knows that it is one. [Store.Copy] does
// not: it is the same folder on another machine, whose disk was cloned.
func (s *Store) Duplicate() *Store {
	out := s.Copy()
	if !out.Empty() {
		out.control.Copy = "the state directory is a copy"
	}
	return out
}

// Owner is whose the state directory is, empty if nobody's yet.
func (s *Store) Owner() cluster.Owner { return s.control.Owner }

// Copied says that it knows that it is a copy.
func (s *Store) Copied() bool { return s.control.Copy != "" }

// Empty says that nothing is stored.
func (s *Store) Empty() bool { return s.control == cluster.Control{} }

// Authority is a store as one controller reaches it. Its keys are words. It
// implements authority.Authority.
type Authority struct{ c *Controller }

func storeErrs() errs {
	return errs{failed: errors.New("state directory: no space left on device"), lost: errors.New("state directory: input/output error")}
}

const theStore = "state directory"

func (a Authority) on(ctx context.Context, k kind, verb string, effect func(*cluster.Control) error) error {
	return a.c.call(ctx, &op{kind: k, verb: verb, object: theStore, errs: storeErrs()}, func(*op) error { return effect(&a.c.store.control) })
}

// Inspect implements authority.Authority.
func (a Authority) Inspect(ctx context.Context) (cluster.Control, error) {
	var out cluster.Control
	err := a.on(ctx, read, "inspect store", func(c *cluster.Control) error {
		a.c.w.rules.reads(a.c, theStore)
		out = *c
		return nil
	})
	a.c.unread = err != nil
	if err != nil {
		return cluster.Control{}, err
	}
	return out, nil
}

// lease is how long a certificate is valid that is issued now; see pki.
func (a Authority) lease() *cluster.Certificate {
	now := a.c.w.now()
	return &cluster.Certificate{NotBefore: now.Add(-5 * time.Minute), NotAfter: now.AddDate(1, 0, 0), RenewAt: now.AddDate(0, 8, 0)}
}

// window reads how long a certificate is valid: one of this world, or a real
// one, as the conformance suites bring.
func window(cert []byte) (*cluster.Certificate, error) {
	if _, text, ours := strings.Cut(string(cert), " until "); ours {
		until, err := time.Parse(time.RFC3339, text)
		return &cluster.Certificate{NotBefore: until.AddDate(-1, 0, 0).Add(-5 * time.Minute), NotAfter: until, RenewAt: until.AddDate(0, -4, 0)}, err
	}
	parsed, err := pki.ParseCertificate("member", cert)
	if err != nil {
		return nil, err
	}
	w := pki.Window(parsed)
	return &w, nil
}

// Create implements authority.Authority.
func (a Authority) Create(ctx context.Context, owner cluster.Owner, tls bool) error {
	return a.on(ctx, write, "create", func(c *cluster.Control) error {
		if c.Owner != "" && c.Owner != owner {
			return fmt.Errorf("create authority: the state directory is of owner %s", c.Owner)
		}
		if tls && c.CA == "" {
			c.CA, c.Operator = fmt.Sprintf("ca%d", a.c.w.number()), a.lease()
		}
		if a.c.w.befalls(a.c.w.rates.Half) {
			a.c.w.count("fault: half-done create")
			return storeErrs().failed
		}
		c.Owner = owner
		return nil
	})
}

// RenewOperator implements authority.Authority.
func (a Authority) RenewOperator(ctx context.Context) error {
	return a.on(ctx, write, "renew", func(c *cluster.Control) error {
		if c.CA == "" {
			return errors.New("renew certificate: there is no CA")
		}
		c.Operator = a.lease()
		return nil
	})
}

// Issue implements authority.Authority.
func (a Authority) Issue(ctx context.Context, name cluster.MemberName, _ []string) (node.Credentials, error) {
	var out node.Credentials
	err := a.c.call(ctx, &op{kind: read, verb: "issue", object: nodeName(name), errs: storeErrs()}, func(*op) error {
		c := a.c.store.control
		if c.CA == "" {
			return errors.New("issue certificate: there is no CA")
		}
		n := a.c.w.number()
		until := a.lease().NotAfter.Format(time.RFC3339)
		pair := func(of string) node.Pair {
			return node.Pair{Cert: fmt.Appendf(nil, "certificate %d of %s until %s", n, of, until), Key: fmt.Appendf(nil, "%s %d of %s", secret, n, of)}
		}
		out = node.Credentials{PeerCA: []byte("peer " + c.CA), ClientCA: []byte("client " + c.CA), Peer: pair("peer"), Server: pair("server"), Gateway: pair("gateway")}
		return nil
	})
	if err != nil {
		return node.Credentials{}, err
	}
	return out, nil
}

// Forget implements authority.Authority.
func (a Authority) Forget(ctx context.Context) error {
	return a.on(ctx, write, "forget", func(c *cluster.Control) error {
		a.c.w.rules.disowns(a.c, c.Owner)
		*c = cluster.Control{}
		return nil
	})
}
