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
			// A server that does not look at conditions is not asked to add.
			wanted := 2
			if want != nil {
				wanted = 1
			}
			if len(z.asked) != wanted || z.asked[0].New != nil {
				t.Errorf("%s, answered %v: asked %v, want a deletion first", kind, answer, z.asked)
			}
			for _, c := range z.asked {
				if err := Check([]cluster.Change{c}); err != nil || c.Old == nil || len(c.Old.Values) != 1 || Same(c.Old, c.New) {
					t.Errorf("%s: asked %v, %v, want a change on a condition", kind, c, err)
				}
			}
		}
	}
}
