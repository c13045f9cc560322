package hosts

import "testing"

// From hosts that hold nothing to a cluster that serves, and back.
func TestFromBareHostsAndBack(t *testing.T) {
	w := newWorld(t, 3)
	w.must("up")
	w.must("health")
	w.must("destroy", "--yes")
}
