// Package cloud holds the end-to-end tests of clusters on instances that pleiad
// launches: the built binary, a fake of EC2's API whose instances are Debian hosts of
// the test bed with cloud-init and a metadata service, a fake of Cloudflare's API
// with a name server that serves what it holds, real SSH, real etcd. They need root on Linux and run only with PLEIAD_E2E=1; with that
// set, none of them may be skipped.
package cloud

import (
	"os"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/tier"
)

var binary string // the pleiad under test

func TestMain(m *testing.M) {
	os.Exit(tier.Main(m, tier.Needs{Binary: &binary, Tools: map[string]string{
		"etcdctl": "etcd-client", "ssh": "openssh-client", "ssh-keygen": "openssh-client"}}))
}
