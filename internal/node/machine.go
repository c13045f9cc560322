package node

import "github.com/pleiad-etcd/pleiad/internal/cluster"

// Where things lie on a machine of its own, as opposed to a folder on this one.
const (
	// ClaimFile says whose host the machine is; root's, readable for all.
	ClaimFile   = ClaimFolder + "/host.json"
	ClaimFolder = "/etc/pleiad"
	// BinaryFolder holds pleiad's binaries, a folder each, named after their
	// digests, so that several versions may lie side by side.
	BinaryFolder = "/usr/local/lib/pleiad"
	// StateFolder holds all that a member writes; it is its user's.
	StateFolder = "/var/lib/pleiad"
	// KeptFolder holds the data of members that were removed without it.
	KeptFolder = "/var/lib/pleiad-kept"
	// UnitFile is the member's systemd unit.
	UnitFile = "/etc/systemd/system/pleiad-member.service"
)

// MachinePaths are those of the one member of a machine. Its log is in the
// journal.
func MachinePaths() cluster.Paths {
	return cluster.Paths{Config: StateFolder + "/config", Data: StateFolder + "/data"}
}
