// Package hosts holds the end-to-end tests of clusters on machines of their
// own: the built binary, Debian hosts of the test bed, their records in BIND,
// stock clients. They need root on Linux, the test bed's packages and Debian's
// bind9, bind9-dnsutils and etcd-client, and run only with PLEIAD_E2E=1; with
// that set, none of them may be skipped.
package hosts

import (
	"os"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/tier"
)

// binary is the pleiad under test, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(tier.Main(m, tier.Needs{Binary: &binary, Tools: map[string]string{
		"named": "bind9", "dig": "bind9-dnsutils", "nsupdate": "bind9-dnsutils",
		"etcdctl": "etcd-client", "ssh": "openssh-client", "ssh-keygen": "openssh-client", "ruby": "ruby",
	}}))
}
