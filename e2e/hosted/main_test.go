// Package hosted holds the end-to-end tests of zones that are changed through an API, at
// Cloudflare and in Route 53: the built binary and real etcd on this machine, against a
// fake of the API and a name server that serves what that holds. They need root on Linux and run only with
// PLEIAD_E2E=1; with that set, none of them may be skipped.
package hosted

import (
	"os"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/tier"
)

var pleiad string // the binary under test

func TestMain(m *testing.M) {
	os.Exit(tier.Main(m, tier.Needs{Binary: &pleiad, Tools: map[string]string{"unshare": "util-linux", "mount": "mount"}}))
}
