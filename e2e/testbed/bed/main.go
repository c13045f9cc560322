package bed

import (
	"testing"

	"github.com/pleiad-etcd/pleiad/e2e/tier"
)

// Main is the TestMain of packages whose tests need nothing but a bed, which
// itself says what it needs. It returns the exit code.
func Main(m *testing.M) int { return tier.Main(m, tier.Needs{}) }
