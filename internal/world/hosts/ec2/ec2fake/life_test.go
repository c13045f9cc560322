package ec2fake_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2/ec2fake"
)

// states describes an instance n times.
func (b *bench) states(id string, n int) []string {
	b.t.Helper()
	var out []string
	for range n {
		r, err := b.try("DescribeInstances", "InstanceId.1", id)
		switch {
		case err != nil:
			b.t.Fatal(err)
		case r.Code != "":
			out = append(out, r.Code)
		default:
			out = append(out, r.Found[0].State)
		}
	}
	return out
}

func TestLag(t *testing.T) {
	b := start(t)
	b.SetLag(ec2fake.Lag{Unseen: 2, Pending: 1, Stopping: 1, ShuttingDown: 2})
	id := b.launch("ClientToken", "t1").ID
	const missing = "InvalidInstanceID.NotFound"
	if again := b.launch("ClientToken", "t1"); again.ID != id {
		t.Errorf("the token of an unseen instance gave %s, want %s", again.ID, id)
	}
	if n := len(b.do("DescribeVolumes").Volumes); n != 0 {
		t.Errorf("%d volumes of an unseen instance are listed", n)
	}
	b.refused(400, missing, "TerminateInstances", "InstanceId.1", id)
	b.refused(400, missing, "CreateTags", "ResourceId.1", id, "Tag.1.Key", "x")
	if n := len(b.do("DescribeInstances", "Filter.1.Name", "client-token", "Filter.1.Value.1", "t1").Found); n != 0 {
		t.Error("an unseen instance is listed")
	}
	for _, c := range []struct {
		action string
		want   []string
	}{
		{"", []string{missing, "pending", "running", "running"}},
		{"StopInstances", []string{"stopping", "stopped", "stopped"}},
		{"StartInstances", []string{"pending", "running"}},
		{"TerminateInstances", []string{"shutting-down", "shutting-down", "terminated"}},
	} {
		if c.action != "" {
			b.do(c.action, "InstanceId.1", id)
		}
		if have := b.states(id, len(c.want)); !slices.Equal(have, c.want) {
			t.Errorf("after %q: %q, want %q", c.action, have, c.want)
		}
	}
}

func TestStopAndStart(t *testing.T) {
	b := start(t)
	i := b.launch()
	stop := b.do("StopInstances", "InstanceId.1", i.ID).Changed[0]
	if stop.Previous != "running" || stop.Current != "stopping" {
		t.Errorf("stopped from %s to %s", stop.Previous, stop.Current)
	}
	stopped := b.look(i.ID)
	if stopped.State != "stopped" || stopped.Private != i.Private || len(stopped.Volumes) != 1 || stopped.Reason != "Client.UserInitiatedShutdown" {
		t.Errorf("stopped: %+v", stopped)
	}
	if again := b.do("StopInstances", "InstanceId.1", i.ID).Changed[0]; again.Current != "stopped" {
		t.Errorf("stopped twice: %s", again.Current)
	}
	if started := b.do("StartInstances", "InstanceId.1", i.ID).Changed[0]; started.Previous != "stopped" || started.Current != "pending" {
		t.Errorf("started from %s to %s", started.Previous, started.Current)
	}
	if running := b.look(i.ID); running.State != "running" || running.Reason != "" {
		t.Errorf("started: %+v", running)
	}
}

// An instance on its way is not sent on another one, except to its end.
func TestIncorrectState(t *testing.T) {
	b := start(t)
	b.SetLag(ec2fake.Lag{Pending: 9, Stopping: 9, ShuttingDown: 9})
	pending := b.launch().ID
	b.refused(400, "IncorrectInstanceState", "StopInstances", "InstanceId.1", pending)
	b.SetLag(ec2fake.Lag{Stopping: 9, ShuttingDown: 9})
	stopping := b.launch().ID
	b.do("StopInstances", "InstanceId.1", stopping)
	b.refused(400, "IncorrectInstanceState", "StartInstances", "InstanceId.1", stopping)
	b.do("TerminateInstances", "InstanceId.1", pending, "InstanceId.2", stopping)
	b.refused(400, "IncorrectInstanceState", "StartInstances", "InstanceId.1", pending)
	b.refused(400, "IncorrectInstanceState", "StopInstances", "InstanceId.1", pending)
}

func TestTerminate(t *testing.T) {
	b := start(t)
	i := b.launch("TagSpecification.1.ResourceType", "instance", "TagSpecification.1.Tag.1.Key", "owner", "TagSpecification.1.Tag.1.Value", "me", "ClientToken", "t1")
	if end := b.do("TerminateInstances", "InstanceId.1", i.ID).Changed[0]; end.Previous != "running" || end.Current != "shutting-down" {
		t.Errorf("terminated from %s to %s", end.Previous, end.Current)
	}
	want := instance{ID: i.ID, State: "terminated", Code: 48, Zone: "eu-central-1a", Token: "t1", Reason: "Client.UserInitiatedShutdown", Tags: []tag{{"owner", "me"}}, HTTPTokens: "optional", HopLimit: 1}
	if d := cmp.Diff(want, b.look(i.ID)); d != "" {
		t.Errorf("want -, found +:\n%s", d)
	}
	if again := b.do("TerminateInstances", "InstanceId.1", i.ID).Changed[0]; again.Current != "terminated" {
		t.Errorf("terminated twice: %s", again.Current)
	}
	if n := len(b.Volumes()); n != 0 {
		t.Errorf("%d volumes are left", n)
	}
	b.ForgetTerminated()
	b.refused(400, "InvalidInstanceID.NotFound", "TerminateInstances", "InstanceId.1", i.ID)
	if n := len(b.do("DescribeInstances").Found); n != 0 {
		t.Errorf("%d instances are listed", n)
	}
}

// One ID that is wrong, and nothing is done; a protected one keeps those of its
// zone, and the others end although the call fails.
func TestTerminateSeveral(t *testing.T) {
	b := start(t)
	in := func(subnet string, more ...string) string {
		t.Helper()
		return b.do("RunInstances", append([]string{"MinCount", "1", "MaxCount", "1", "ImageId", "ami-1", "InstanceType", "m7.large", "SubnetId", subnet}, more...)...).Changed[0].ID
	}
	a, b1, b2 := in("subnet-a"), in("subnet-b", "DisableApiTermination", "true"), in("subnet-b")
	b.refused(400, "InvalidInstanceID.NotFound", "TerminateInstances", "InstanceId.1", a, "InstanceId.2", "i-0123456789abcdef0")
	b.refused(400, "InvalidInstanceID.Malformed", "TerminateInstances", "InstanceId.1", a, "InstanceId.2", "i-1")
	b.refused(400, "InvalidParameterCombination", "TerminateInstances")
	if state := b.look(a).State; state != "running" {
		t.Errorf("an instance named beside a wrong one is %s", state)
	}
	b.refused(400, "OperationNotPermitted", "TerminateInstances", "InstanceId.1", a, "InstanceId.2", b1, "InstanceId.3", b2)
	if x, y, z := b.look(a).State, b.look(b1).State, b.look(b2).State; x != "terminated" || y != "running" || z != "running" {
		t.Errorf("states %s, %s, %s; want the one in the other zone terminated", x, y, z)
	}
}

func TestByHand(t *testing.T) {
	b := start(t)
	i := b.launch("DisableApiTermination", "true")
	b.StopByHand(i.ID)
	if state := b.look(i.ID).State; state != "stopped" {
		t.Errorf("stopped by hand: %s", state)
	}
	b.TerminateByHand(i.ID)
	if state := b.look(i.ID).State; state != "terminated" {
		t.Errorf("terminated by hand: %s", state)
	}
}

func TestSeed(t *testing.T) {
	b := start(t)
	v := b.SeedVolume(ec2fake.Volume{Tags: map[string]string{"owner": "them"}})
	i := b.Seed(ec2fake.Instance{Tags: map[string]string{"owner": "them"}, Volumes: []string{v.ID}})
	if found := b.look(i.ID); found.State != "running" || found.Private != "10.5.1.4" || !slices.Equal(found.Volumes, []string{v.ID}) {
		t.Errorf("seeded: %+v", found)
	}
	if mine := b.launch(); mine.Private == "10.5.1.4" {
		t.Error("the address of a seeded instance is given again")
	}
}
