package embedded

import (
	"context"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// A server whose folder was removed while it ran does not outlive what is done
// next: nothing else says that it is there.
func TestFolderRemovedWhileItServes(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(t *testing.T, p *Provider) error{
		"start": func(t *testing.T, p *Provider) error { return p.Start(t.Context()) },
		"apply": func(t *testing.T, p *Provider) error {
			_, err := p.Apply(t.Context(), []cluster.Change{{Key: marker.Key, New: &marker}})
			return err
		},
		"stop": func(t *testing.T, p *Provider) error { return p.Stop(t.Context()) },
	} {
		p := provider(t)
		start(t, p)
		first := stampOf(t, p)
		t.Cleanup(func() {
			if err := first.Stop(context.Background(), 0); err != nil {
				t.Error(err)
			}
		})
		if err := os.RemoveAll(p.config.Dir); err != nil {
			t.Fatal(err)
		}
		if err := act(t, p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if first.Alive() {
			t.Errorf("%s: the server of the folder that was removed still runs", name)
		}
		if name != "apply" {
			continue
		}
		if got, err := p.Read(t.Context(), []cluster.Key{marker.Key}); err != nil || !cmp.Equal(got.Sets, []cluster.RecordSet{marker}) {
			t.Errorf("Read afterwards: %v, %v", got, err)
		}
	}
}
