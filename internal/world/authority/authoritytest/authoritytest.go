// Package authoritytest holds the clauses of the authority contract as tests.
// Each implementation calls [Run] from a test of its own.
package authoritytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world/authority"
)

const owner cluster.Owner = "0f4b4dd2-8f5d-4f43-93c5-3f4ad6d9a1a1"

// Run holds an implementation to the contract. open gives the authority of a
// cluster of which nothing is stored, a new one at each call.
func Run(t *testing.T, open func(t *testing.T) authority.Authority) {
	for _, c := range []struct {
		name   string
		clause func(*testing.T, authority.Authority)
	}{
		{"nothing stored is known", nothing},
		{"create makes all", create},
		{"create keeps what is there", createAgain},
		{"create adds TLS later", addTLS},
		{"another owner is refused", anotherOwner},
		{"renewal needs a CA and keeps it", renew},
		{"issue needs a CA", issueNeedsCA},
		{"issue in parallel", issue},
		{"forget ends it", forget},
		{"a done context ends it", done},
	} {
		t.Run(c.name, func(t *testing.T) { c.clause(t, open(t)) })
	}
}

func inspect(t *testing.T, a authority.Authority) cluster.Control {
	t.Helper()
	c, err := a.Inspect(t.Context())
	if err != nil {
		t.Fatalf("Inspect: %v", err)
	}
	return c
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func nothing(t *testing.T, a authority.Authority) {
	if d := cmp.Diff(cluster.Control{}, inspect(t, a)); d != "" {
		t.Errorf("nothing is stored, yet (-want +have):\n%s", d)
	}
}

func create(t *testing.T, a authority.Authority) {
	must(t, "Create", a.Create(t.Context(), owner, true))
	c := inspect(t, a)
	if c.Owner != owner || c.CA == "" || c.Operator == nil {
		t.Fatalf("after Create: %+v, want owner, CA and operator", c)
	}
	if !c.Operator.RenewAt.Before(c.Operator.NotAfter) {
		t.Errorf("renewal of the operator at %v is not before its end %v", c.Operator.RenewAt, c.Operator.NotAfter)
	}
}

func createAgain(t *testing.T, a authority.Authority) {
	must(t, "Create", a.Create(t.Context(), owner, true))
	before := inspect(t, a)
	must(t, "second Create", a.Create(t.Context(), owner, true))
	must(t, "Create without TLS", a.Create(t.Context(), owner, false))
	if d := cmp.Diff(before, inspect(t, a)); d != "" {
		t.Errorf("Create changed what was there (-before +after):\n%s", d)
	}
}

func addTLS(t *testing.T, a authority.Authority) {
	must(t, "Create without TLS", a.Create(t.Context(), owner, false))
	if d := cmp.Diff(cluster.Control{Owner: owner}, inspect(t, a)); d != "" {
		t.Errorf("Create without TLS (-want +have):\n%s", d)
	}
	must(t, "Create with TLS", a.Create(t.Context(), owner, true))
	if c := inspect(t, a); c.Owner != owner || c.CA == "" || c.Operator == nil {
		t.Errorf("after Create with TLS: %+v, want owner, CA and operator", c)
	}
}

func anotherOwner(t *testing.T, a authority.Authority) {
	must(t, "Create", a.Create(t.Context(), owner, true))
	before := inspect(t, a)
	if err := a.Create(t.Context(), "another", true); err == nil {
		t.Error("Create by another owner succeeded")
	}
	if d := cmp.Diff(before, inspect(t, a)); d != "" {
		t.Errorf("a refused Create changed something (-before +after):\n%s", d)
	}
}

func renew(t *testing.T, a authority.Authority) {
	if err := a.RenewOperator(t.Context()); err == nil {
		t.Error("RenewOperator without a CA succeeded")
	}
	must(t, "Create", a.Create(t.Context(), owner, true))
	before := inspect(t, a)
	must(t, "RenewOperator", a.RenewOperator(t.Context()))
	after := inspect(t, a)
	if after.CA != before.CA || after.Owner != before.Owner || after.Operator == nil || after.Operator.NotAfter.Before(before.Operator.NotAfter) {
		t.Errorf("RenewOperator: before %+v, after %+v", before, after)
	}
}

func issueNeedsCA(t *testing.T, a authority.Authority) {
	must(t, "Create without TLS", a.Create(t.Context(), owner, false))
	if _, err := a.Issue(t.Context(), "etcd-k3v9qd2m", []string{"etcd-k3v9qd2m.dev.test"}); err == nil {
		t.Error("Issue without a CA succeeded")
	}
}

func issue(t *testing.T, a authority.Authority) {
	must(t, "Create", a.Create(t.Context(), owner, true))
	creds := make([]node.Credentials, 9)
	var all sync.WaitGroup
	for i := range creds {
		all.Go(func() {
			name := cluster.MemberName("etcd-000000" + string(rune('0'+i)))
			var err error
			creds[i], err = a.Issue(t.Context(), name, []string{string(name) + ".dev.test", "127.0.0.1"})
			if err != nil {
				t.Errorf("Issue: %v", err)
			}
		})
	}
	all.Wait()
	seen := map[string]string{}
	for i, c := range creds {
		if err := c.Complete(); err != nil {
			t.Errorf("credentials %d: %v", i, err)
		}
		if !bytes.Equal(c.PeerCA, creds[0].PeerCA) || !bytes.Equal(c.ClientCA, creds[0].ClientCA) {
			t.Errorf("credentials %d name other CAs", i)
		}
		if bytes.Equal(c.PeerCA, c.ClientCA) {
			t.Errorf("credentials %d have one CA for peers and clients", i)
		}
		for _, p := range []node.Pair{c.Peer, c.Server, c.Gateway} {
			for _, content := range [][]byte{p.Cert, p.Key} {
				if other, ok := seen[string(content)]; ok {
					t.Errorf("credentials %d hold what credentials %s hold", i, other)
				}
				seen[string(content)] = fmt.Sprint(i)
			}
		}
	}
}

func forget(t *testing.T, a authority.Authority) {
	must(t, "Forget of nothing", a.Forget(t.Context()))
	must(t, "Create", a.Create(t.Context(), owner, true))
	before := inspect(t, a)
	must(t, "Forget", a.Forget(t.Context()))
	must(t, "second Forget", a.Forget(t.Context()))
	nothing(t, a)
	must(t, "Create", a.Create(t.Context(), "another", true))
	if after := inspect(t, a); after.CA == before.CA || after.Owner != "another" {
		t.Errorf("a new life has the former CA or owner: before %+v, after %+v", before, after)
	}
}

func done(t *testing.T, a authority.Authority) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, inspecting := a.Inspect(ctx)
	_, issuing := a.Issue(ctx, "etcd-k3v9qd2m", []string{"etcd-k3v9qd2m.dev.test"})
	for what, err := range map[string]error{"Inspect": inspecting, "Issue": issuing, "Create": a.Create(ctx, owner, true),
		"RenewOperator": a.RenewOperator(ctx), "Forget": a.Forget(ctx)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: %v", what, err)
		}
	}
	nothing(t, a)
}
