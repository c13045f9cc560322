package cloud

import (
	"slices"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2/ec2fake"
)

// A cluster on instances: launched side by side, each in a zone of its own, known by
// its SSH key before the first contact; at the end nothing of it is left, and
// everything of others.
func TestFromNothingAndBack(t *testing.T) {
	o := newOperator(t)
	records := o.lookalikes()
	theirs := []map[string]string{{"Name": "etcd"}, {"pleiad:cluster": cluster}, {"pleiad:cluster": cluster, "pleiad:domain": "other." + zone}}
	for _, tags := range theirs {
		o.ec2.Seed(ec2fake.Instance{Subnet: subnetID("a"), Tags: tags, Volumes: []string{o.ec2.SeedVolume(ec2fake.Volume{Tags: tags}).ID}})
	}
	if out := o.run(0, "doctor"); !strings.Contains(out, "may edit the records of zone "+zone) {
		t.Error(out)
	}
	if out := o.run(2, "plan"); !strings.Contains(out, "3 instances") {
		t.Error(out)
	}
	asked := o.zone.Calls()
	if out := o.run(0, "up"); !strings.Contains(out, "healthy") {
		t.Error(out)
	}
	if calls := o.ec2.Calls(); calls["RunInstances"] != 3 {
		t.Errorf("calls: %v, want 3 RunInstances", calls)
	}
	t.Logf("calls: %v, %+v after %+v", o.ec2.Calls(), o.zone.Calls(), asked)
	o.found(3)
	zones := map[string]bool{}
	for _, i := range o.living() {
		zones[i.Zone] = true
	}
	if len(zones) != 3 {
		t.Errorf("they are in %v, want three zones", zones)
	}
	o.introduced()
	before := o.ec2.Calls()
	asked = o.zone.Calls()
	o.run(0, "up")
	if now := o.zone.Calls(); now.Batches != asked.Batches {
		t.Errorf("up without need: %+v, then %+v", asked, now)
	}
	if now := o.ec2.Calls(); now["RunInstances"] != before["RunInstances"] || now["DescribeInstances"] > before["DescribeInstances"]+2 {
		t.Errorf("up without need: %v, then %v", before, now)
	}
	o.nowhere()

	o.run(0, "destroy", "--yes")
	if left := o.zone.Records(zone); !slices.Equal(left, records) {
		t.Errorf("left of the zone: %+v, want %+v", left, records)
	}
	if left := o.living(); len(left) != 0 {
		t.Errorf("instances that are left: %+v", left)
	}
	if n := len(o.ec2.Volumes()); n != len(theirs) {
		t.Errorf("%d volumes are left, want those of others: %+v", n, o.ec2.Volumes())
	}
}

// An instance that somebody has stopped is started, and one that was terminated is
// replaced; the data stays.
func TestChangedByHand(t *testing.T) {
	o := newOperator(t)
	o.run(0, "up")
	o.run(0, "etcdctl", "--", "put", "a", "1")

	stopped := o.living()[0]
	o.ec2.StopByHand(stopped.ID)
	if out := o.run(2, "plan"); !strings.Contains(out, "await host "+stopped.Tags["pleiad:member"]) {
		t.Error(out)
	}
	o.run(0, "up")

	lost := o.living()[0]
	o.ec2.TerminateByHand(lost.ID)
	o.run(0, "up", "--yes")
	for _, i := range o.living() {
		if i.Tags["pleiad:member"] == lost.Tags["pleiad:member"] {
			t.Errorf("%s is there again", lost.Tags["pleiad:member"])
		}
	}
	if out := o.run(0, "etcdctl", "--", "get", "a", "--print-value-only"); !strings.Contains(out, "1") {
		t.Errorf("a is %q", out)
	}
	o.run(0, "destroy", "--yes")
	if n := len(o.living()) + len(o.ec2.Volumes()); n != 0 {
		t.Errorf("instances %+v and volumes %+v are left", o.living(), o.ec2.Volumes())
	}
}

// introduced checks that no machine shows the key that is in its user data.
func (o *operator) introduced() {
	o.Helper()
	for _, i := range o.living() {
		out, err := o.bed.Command(o.Context(), "ssh-keyscan", "-t", "ed25519", i.PrivateAddress.String()).Output()
		fields := strings.Fields(string(out))
		if err != nil || len(fields) < 3 {
			o.Errorf("scan %s: %v, %q", i.PrivateAddress, err, out)
		} else if text := o.script(i); strings.Contains(text, fields[2]) || !strings.Contains(text, "ssh-ed25519 ") {
			o.Errorf("%s still shows the key of its user data", i.Tags["pleiad:member"])
		}
	}
}
