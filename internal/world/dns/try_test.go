package dns

import (
	"context"
	"errors"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// answering is a zone that answers each change with an error, and keeps it.
type answering struct {
	Zone
	err   error
	asked []cluster.Change
}

func (a *answering) Apply(_ context.Context, changes []cluster.Change) (Receipt, error) {
	a.asked = append(a.asked, changes...)
	return "", a.err
}

func TestTry(t *testing.T) {
	for _, kind := range []cluster.RecordType{cluster.A, cluster.AAAA, cluster.SRV, cluster.TXT} {
		for answer, want := range map[error]error{ErrConflict: nil, nil: ErrUnconditional, ErrDenied: ErrDenied, ErrUnreachable: ErrUnreachable} {
			z := &answering{err: answer}
			if err := Try(t.Context(), z, cluster.Key{Name: "www.dev.test.", Type: kind}); !errors.Is(err, want) {
				t.Errorf("%s, answered %v: %v, want %v", kind, answer, err, want)
			}
			// Whatever the server makes of it, nothing is added, and what would
			// be deleted stands in the condition.
			if err := Check(z.asked); err != nil || len(z.asked) != 1 || z.asked[0].New != nil || z.asked[0].Old == nil || len(z.asked[0].Old.Values) != 1 {
				t.Errorf("%s: asked %v, %v, want one deletion on a condition", kind, z.asked, err)
			}
		}
	}
}
