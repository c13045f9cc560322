package node

import (
	"slices"
	"testing"
)

func TestDifferences(t *testing.T) {
	have := []string{"--name=etcd-a", "--heartbeat-interval=100", "--log-level=debug", "--feature-gates=A=true,B=false"}
	want := []string{"--name=etcd-a", "--heartbeat-interval=200", "--snapshot-count=5000", "--feature-gates=A=true"}
	said := []string{"feature-gates is A=true,B=false, want A=true", "heartbeat-interval is 100, want 200", "log-level is debug, want none", "snapshot-count is not given, want 5000"}
	if got := Differences(have, want); !slices.Equal(got, said) {
		t.Errorf("%q, want %q", got, said)
	}
	if got := Differences(have, have); got != nil {
		t.Errorf("nothing differs, and that is said: %q", got)
	}
}
