package node

import (
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/converge/spec/option/optiontest"
)

func TestEveryRenderedFlagIsKnownToEtcd(t *testing.T) {
	for _, s := range stories() {
		cfg, fs := optiontest.Etcd()
		args := s.render().Args
		if err := fs.Parse(args); err != nil || fs.NArg() > 0 {
			t.Errorf("%s: etcd does not take its flags: %v %v", s.name, err, fs.Args())
		}
		given := map[string]bool{}
		for _, a := range args {
			name, _, _ := strings.Cut(strings.TrimPrefix(a, "--"), "=")
			if given[name] {
				t.Errorf("%s: --%s is given twice", s.name, name)
			}
			given[name] = true
		}
		if err := optiontest.Validate(cfg); err != nil {
			t.Errorf("%s: etcd refuses the whole: %v", s.name, err)
		}
	}
}
