// Package chaos plays a schedule of faults and operations to a cluster on
// machines of their own, while clients use it through its SRV domain, and then
// decides whether it kept what it had acknowledged. It needs what e2e/hosts
// needs, and runs only with PLEIAD_E2E=1.
//
//	PLEIAD_E2E=1 go test -v -timeout 0 ./e2e/chaos -faults 500 -seed 7
//
// With -artifacts all that pleiad said is kept, and after a failure the journals
// of the hosts.
//
// What happens is drawn by package schedule, and decided on by package register;
// both have tests of their own. Here is what lies between: pleiad, the clients,
// and each fault with its end.
package chaos

import (
	"flag"
	"os"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/tier"
)

var (
	faults = flag.Int("faults", 0, "how many faults strike; 0: no round begins after three minutes")
	// The first rounds of the default are many within three minutes, with faults
	// of most kinds.
	seed = flag.Uint64("seed", 527, "of the schedule and of the clients")
)

// binary is the pleiad under test, built once.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(tier.Main(m, tier.Needs{Binary: &binary, Tools: map[string]string{
		"named": "bind9", "dig": "bind9-dnsutils", "ssh": "openssh-client", "ssh-keygen": "openssh-client",
	}}))
}
