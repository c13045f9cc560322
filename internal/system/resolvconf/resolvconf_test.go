package resolvconf_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/system/resolvconf"
)

func TestRead(t *testing.T) {
	for text, want := range map[string]resolvconf.Conf{
		"": {Timeout: 5 * time.Second, Attempts: 2},
		"# ours\nnameserver 10.5.1.2 # first\nnameserver fd00::2\nsearch bed.test\n":                           {Servers: []string{"10.5.1.2", "fd00::2"}, Timeout: 5 * time.Second, Attempts: 2},
		"nameserver a\nnameserver b\nnameserver c\nnameserver d\noptions rotate timeout:99 attempts:7 ndots:1": {Servers: []string{"a", "b", "c"}, Timeout: 30 * time.Second, Attempts: 5},
		"options timeout:1\noptions attempts:3\n":                                                              {Timeout: time.Second, Attempts: 3},
		"nameserver a\n" + strings.Repeat("# not endless\n", 10_000) + "nameserver b\n":                        {Servers: []string{"a"}, Timeout: 5 * time.Second, Attempts: 2},
		"options timeout:0 attempts:x timeout\nnameserver":                                                     {Timeout: 5 * time.Second, Attempts: 2},
	} {
		file := filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, resolvconf.Read(file)); d != "" {
			t.Errorf("%.200q: %s", text, d)
		}
	}
	if c := resolvconf.Read(filepath.Join(t.TempDir(), "none")); c.Patience() != 10*time.Second || c.Servers != nil {
		t.Errorf("without a file: %+v", c)
	}
}
