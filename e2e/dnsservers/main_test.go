// Package dnsservers holds the end-to-end tests of DNS by RFC 2136: the
// conformance suite on BIND, Knot and PowerDNS as Debian ships them, what each
// of them answers to a key without a right, and the configurations that docs/
// prints for them. They need root on Linux and run only with PLEIAD_E2E=1;
// with that set, none of them may be skipped.
package dnsservers

import (
	"os"
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/tier"
)

func TestMain(m *testing.M) {
	os.Exit(tier.Main(m, tier.Needs{Tools: map[string]string{
		"named": "bind9", "rndc": "bind9-utils", "knotd": "knot", "ip": "iproute2", "sqlite3": "sqlite3",
		// PowerDNS comes without a place for its zones.
		"pdns_server": "pdns-server pdns-backend-sqlite3", "pdnsutil": "pdns-server pdns-backend-sqlite3",
	}}))
}
