package ec2fake_test

import (
	"testing"
)

func TestCapacity(t *testing.T) {
	b := start(t)
	b.SetCapacity("m7.large", "eu-central-1a", 2)
	out := b.do("RunInstances", "MinCount", "1", "MaxCount", "5", "ImageId", "ami-1", "InstanceType", "m7.large", "SubnetId", "subnet-a")
	if len(out.Changed) != 2 {
		t.Fatalf("launched %d, want as many as there is room for", len(out.Changed))
	}
	b.refused(500, "InsufficientInstanceCapacity", "RunInstances", launching()...)
	b.do("RunInstances", "MinCount", "1", "MaxCount", "1", "ImageId", "ami-1", "InstanceType", "m6.large", "SubnetId", "subnet-a")
	b.do("RunInstances", "MinCount", "1", "MaxCount", "1", "ImageId", "ami-1", "InstanceType", "m7.large", "SubnetId", "subnet-b")
	b.do("TerminateInstances", "InstanceId.1", out.Changed[0].ID)
	b.launch()
}

func TestVCPULimit(t *testing.T) {
	b := start(t)
	b.SetVCPULimit(2)
	i := b.launch()
	b.refused(400, "VcpuLimitExceeded", "RunInstances", launching()...)
	b.do("StopInstances", "InstanceId.1", i.ID)
	other := b.launch()
	b.refused(400, "VcpuLimitExceeded", "StartInstances", "InstanceId.1", i.ID)
	b.do("TerminateInstances", "InstanceId.1", other.ID)
	b.do("StartInstances", "InstanceId.1", i.ID)
}

func TestThrottle(t *testing.T) {
	b := start(t)
	b.Throttle("DescribeInstances", 2)
	b.refused(503, "RequestLimitExceeded", "DescribeInstances")
	b.do("DescribeVolumes")
	b.refused(503, "RequestLimitExceeded", "DescribeInstances")
	b.do("DescribeInstances")
	if n := b.Calls()["DescribeInstances"]; n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
}

func TestFail(t *testing.T) {
	b := start(t)
	b.Fail("RunInstances", 2, "InternalError")
	b.refused(412, "DryRunOperation", "RunInstances", launching("DryRun", "true")...) // not one of those
	b.launch()
	b.refused(500, "InternalError", "RunInstances", launching()...)
	b.launch()
	if n := len(b.Instances()); n != 2 {
		t.Errorf("%d instances, want 2", n)
	}
}

// A connection that is cut says nothing of whether the call took effect.
func TestLost(t *testing.T) {
	b := start(t)
	b.LoseRequest("RunInstances", 1)
	b.LoseAnswer("RunInstances", 2)
	b.lost("RunInstances", launching("ClientToken", "t1")...)
	if n := len(b.Instances()); n != 0 {
		t.Errorf("%d instances of a request that was lost", n)
	}
	b.lost("RunInstances", launching("ClientToken", "t1")...)
	if n := len(b.Instances()); n != 1 {
		t.Fatalf("%d instances although only the answer was lost", n)
	}
	if again := b.launch("ClientToken", "t1"); again.ID != b.Instances()[0].ID {
		t.Error("the token did not find the instance whose answer was lost")
	}
}

func TestAfter(t *testing.T) {
	b := start(t)
	seen := -1
	b.After("RunInstances", 1, func() { seen = len(b.Instances()) })
	b.launch()
	if seen != 1 {
		t.Errorf("%d instances when the act came, want 1", seen)
	}
}

// A right that is missing is missing for a dry run, too; and a launch needs more
// rights than its own.
func TestDeny(t *testing.T) {
	tagged := launching("TagSpecification.1.ResourceType", "instance", "TagSpecification.1.Tag.1.Key", "a", "IamInstanceProfile.Name", "node")
	for _, right := range []string{"RunInstances", "CreateTags", "iam:PassRole"} {
		b := start(t)
		b.Deny(right)
		b.refused(403, "UnauthorizedOperation", "RunInstances", tagged...)
		b.refused(403, "UnauthorizedOperation", "RunInstances", append(tagged, "DryRun", "true")...)
		b.Allow(right)
		b.refused(412, "DryRunOperation", "RunInstances", append(tagged, "DryRun", "true")...)
		if n := len(b.Instances()); n != 0 {
			t.Errorf("%s: %d instances", right, n)
		}
	}
}
