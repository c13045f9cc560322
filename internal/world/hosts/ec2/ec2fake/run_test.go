package ec2fake_test

import (
	"encoding/base64"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2/ec2fake"
)

func TestLaunch(t *testing.T) {
	b := start(t)
	launched := b.launch("KeyName", "ops", "SecurityGroupId.1", "sg-2", "ClientToken", "t1", "IamInstanceProfile.Name", "node",
		"UserData", base64.StdEncoding.EncodeToString([]byte("#cloud-config")),
		"MetadataOptions.HttpTokens", "required", "MetadataOptions.HttpPutResponseHopLimit", "2",
		"TagSpecification.1.ResourceType", "instance", "TagSpecification.1.Tag.1.Key", "Name", "TagSpecification.1.Tag.1.Value", "etcd <1>",
		"TagSpecification.2.ResourceType", "network-interface", "TagSpecification.2.Tag.1.Key", "owner", "TagSpecification.2.Tag.1.Value", "me")
	if launched.State != "pending" || launched.Code != 0 {
		t.Errorf("launched as %s (%d), want pending", launched.State, launched.Code)
	}
	found := b.look(launched.ID)
	want := instance{
		ID: launched.ID, State: "running", Code: 16, Private: "10.5.1.4", Subnet: "subnet-a", Zone: "eu-central-1a", Token: "t1",
		Volumes: launched.Volumes, Devices: []string{"/dev/xvda"}, Groups: []string{"sg-2"}, Interfaces: launched.Interfaces,
		Tags: []tag{{"Name", "etcd <1>"}}, HTTPTokens: "required", HopLimit: 2, Profile: "arn:aws:iam::111122223333:instance-profile/node",
	}
	if d := cmp.Diff(want, found); d != "" {
		t.Errorf("want -, found +:\n%s", d)
	}
	kept := b.Instances()[0]
	if string(kept.UserData) != "#cloud-config" || kept.KeyName != "ops" || kept.InterfaceTags["owner"] != "me" || kept.Protected {
		t.Errorf("kept %+v", kept)
	}
}

func TestLaunchVolumes(t *testing.T) {
	b := start(t)
	i := b.launch(
		"BlockDeviceMapping.1.DeviceName", "/dev/sdf", "BlockDeviceMapping.1.Ebs.VolumeSize", "20", "BlockDeviceMapping.1.Ebs.VolumeType", "gp3",
		"BlockDeviceMapping.1.Ebs.Iops", "4000", "BlockDeviceMapping.1.Ebs.Encrypted", "true", "BlockDeviceMapping.1.Ebs.DeleteOnTermination", "false",
		"TagSpecification.1.ResourceType", "volume", "TagSpecification.1.Tag.1.Key", "owner", "TagSpecification.1.Tag.1.Value", "me")
	if !slices.Equal(i.Devices, []string{"/dev/xvda", "/dev/sdf"}) {
		t.Errorf("devices %q", i.Devices)
	}
	owned := []tag{{"owner", "me"}}
	want := []volume{
		{ID: i.Volumes[0], Status: "in-use", Size: 8, Type: "gp3", IOPS: 3000, Throughput: 125, Instance: i.ID, Device: "/dev/xvda", Tags: owned},
		{ID: i.Volumes[1], Status: "in-use", Size: 20, Type: "gp3", IOPS: 4000, Throughput: 125, Encrypted: true, Instance: i.ID, Device: "/dev/sdf", Tags: owned},
	}
	slices.SortFunc(want, func(a, b volume) int { return strings.Compare(a.ID, b.ID) })
	if d := cmp.Diff(want, b.do("DescribeVolumes").Volumes); d != "" {
		t.Errorf("want -, found +:\n%s", d)
	}
	b.do("TerminateInstances", "InstanceId.1", i.ID)
	if left := b.Volumes(); len(left) != 1 || left[0].ID != i.Volumes[1] || left[0].State != ec2fake.Available || left[0].Instance != "" {
		t.Errorf("left %+v, want the data volume, available", left)
	}
}

// What RunInstances is given must make sense, and what it names must exist.
func TestLaunchRefused(t *testing.T) {
	device := func(more ...string) []string {
		return launching(append([]string{"BlockDeviceMapping.1.DeviceName", "/dev/sdf"}, more...)...)
	}
	const ebs = "BlockDeviceMapping.1.Ebs."
	for name, c := range map[string]struct {
		code       string
		parameters []string
	}{
		"no count":            {"MissingParameter", []string{"ImageId", "ami-1"}},
		"counts reversed":     {"InvalidParameterValue", []string{"MinCount", "2", "MaxCount", "1", "ImageId", "ami-1", "SubnetId", "subnet-a", "InstanceType", "m7.large"}},
		"unknown image":       {"InvalidAMIID.NotFound", []string{"MinCount", "1", "MaxCount", "1", "ImageId", "ami-2", "SubnetId", "subnet-a", "InstanceType", "m7.large"}},
		"unknown type":        {"InvalidParameterValue", []string{"MinCount", "1", "MaxCount", "1", "ImageId", "ami-1", "SubnetId", "subnet-a"}},
		"unknown subnet":      {"InvalidSubnetID.NotFound", []string{"MinCount", "1", "MaxCount", "1", "ImageId", "ami-1", "SubnetId", "subnet-x", "InstanceType", "m7.large"}},
		"no subnet":           {"VPCIdNotSpecified", []string{"MinCount", "1", "MaxCount", "1", "ImageId", "ami-1", "InstanceType", "m7.large"}},
		"unknown key pair":    {"InvalidKeyPair.NotFound", launching("KeyName", "nobody")},
		"unknown group":       {"InvalidGroup.NotFound", launching("SecurityGroupId.1", "sg-9")},
		"unknown profile":     {"InvalidParameterValue", launching("IamInstanceProfile.Name", "nobody")},
		"two kinds of place":  {"InvalidParameterCombination", launching("NetworkInterface.1.DeviceIndex", "0", "NetworkInterface.1.SubnetId", "subnet-a")},
		"address elsewhere":   {"InvalidParameterValue", launching("PrivateIpAddress", "10.9.9.9")},
		"address of EC2":      {"InvalidParameterValue", launching("PrivateIpAddress", "10.5.1.3")},
		"user data not coded": {"InvalidUserData.Malformed", launching("UserData", "#cloud-config")},
		"long token":          {"InvalidParameterValue", launching("ClientToken", strings.Repeat("t", 65))},
		"size left out":       {"MissingParameter", device()},
		"root too small":      {"InvalidBlockDeviceMapping", launching("BlockDeviceMapping.1.DeviceName", "/dev/xvda", ebs+"VolumeSize", "4")},
		"device twice": {"InvalidBlockDeviceMapping", device(ebs+"VolumeSize", "1",
			"BlockDeviceMapping.2.DeviceName", "/dev/sdf", "BlockDeviceMapping.2.Ebs.VolumeSize", "1")},
		"speed of a plain volume": {"InvalidParameterCombination", device(ebs+"VolumeSize", "1", ebs+"VolumeType", "gp2", ebs+"Iops", "3000")},
		"key without encryption":  {"InvalidParameterDependency", device(ebs+"VolumeSize", "1", ebs+"KmsKeyId", "k")},
		"reserved tag":            {"InvalidParameterValue", launching("TagSpecification.1.ResourceType", "instance", "TagSpecification.1.Tag.1.Key", "aws:x")},
		"tags of nothing":         {"InvalidParameterValue", launching("TagSpecification.1.ResourceType", "instances", "TagSpecification.1.Tag.1.Key", "x")},
		"tag not for metadata": {"InvalidParameterValue", launching("MetadataOptions.InstanceMetadataTags", "enabled",
			"TagSpecification.1.ResourceType", "instance", "TagSpecification.1.Tag.1.Key", "a/b")},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			b.refused(400, c.code, "RunInstances", c.parameters...)
			if n := len(b.Instances()); n != 0 {
				t.Errorf("%d instances", n)
			}
		})
	}
}

func TestUserDataLimit(t *testing.T) {
	b := start(t)
	coded := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	b.refused(400, "InvalidParameterValue", "RunInstances", launching("UserData", coded(16385))...)
	b.launch("UserData", coded(16384))
}

func TestClientToken(t *testing.T) {
	b := start(t)
	first := b.launch("ClientToken", "t1")
	if again := b.launch("ClientToken", "t1"); again.ID != first.ID || again.State != "running" {
		t.Errorf("a replay gave %s, %s; want %s, running", again.ID, again.State, first.ID)
	}
	b.refused(400, "IdempotentParameterMismatch", "RunInstances", launching("ClientToken", "t1", "KeyName", "ops")...)
	b.refused(400, "IdempotentParameterMismatch", "RunInstances", launching("ClientToken", "t1", "KeyName", "ops", "DryRun", "true")...)
	b.refused(412, "DryRunOperation", "RunInstances", launching("ClientToken", "t1", "DryRun", "true")...)
	if other := b.launch("ClientToken", "T1"); other.ID == first.ID {
		t.Error("the case of a token does not matter")
	}
	b.do("TerminateInstances", "InstanceId.1", first.ID)
	if again := b.launch("ClientToken", "t1"); again.ID != first.ID || again.State != "terminated" {
		t.Errorf("a replay after the end gave %s, %s; want %s, terminated", again.ID, again.State, first.ID)
	}
	b.ForgetTerminated()
	b.refused(400, "IdempotentInstanceTerminated", "RunInstances", launching("ClientToken", "t1")...)
	if n := len(b.Instances()); n != 1 {
		t.Errorf("%d instances, want the one of the other token", n)
	}
}

// A token of a launch that failed is as good as new.
func TestClientTokenOfFailure(t *testing.T) {
	b := start(t)
	b.SetCapacity("m7.large", "eu-central-1a", 0)
	b.refused(500, "InsufficientInstanceCapacity", "RunInstances", launching("ClientToken", "t1")...)
	b.SetCapacity("m7.large", "eu-central-1a", 1)
	b.launch("ClientToken", "t1")
}

func TestDryRun(t *testing.T) {
	b := start(t)
	i := b.launch("ClientToken", "t1")
	before := b.Instances()
	b.refused(412, "DryRunOperation", "RunInstances", launching("DryRun", "true")...)
	b.refused(400, "InvalidKeyPair.NotFound", "RunInstances", launching("DryRun", "true", "KeyName", "nobody")...)
	b.refused(412, "DryRunOperation", "StopInstances", "InstanceId.1", i.ID, "DryRun", "true")
	b.refused(412, "DryRunOperation", "TerminateInstances", "InstanceId.1", i.ID, "DryRun", "true")
	b.refused(412, "DryRunOperation", "CreateTags", "ResourceId.1", i.ID, "Tag.1.Key", "x", "DryRun", "true")
	b.refused(412, "DryRunOperation", "DescribeInstances", "DryRun", "true")
	if after := b.Instances(); !reflect.DeepEqual(before, after) {
		t.Errorf("dry runs changed %+v to %+v", before, after)
	}
	want := map[string]int{"RunInstances": 1, "RunInstances (dry run)": 2, "StopInstances (dry run)": 1, "TerminateInstances (dry run)": 1, "CreateTags (dry run)": 1, "DescribeInstances (dry run)": 1}
	if d := cmp.Diff(want, b.Calls()); d != "" {
		t.Errorf("calls: want -, have +:\n%s", d)
	}
}

// A subnet has its addresses once, and those of the dead again.
func TestAddresses(t *testing.T) {
	b := start(t)
	first := b.launch("PrivateIpAddress", "10.5.1.9")
	b.refused(400, "InvalidIPAddress.InUse", "RunInstances", launching("PrivateIpAddress", "10.5.1.9")...)
	b.do("StopInstances", "InstanceId.1", first.ID)
	if out := b.do("RunInstances", launching("MinCount", "1", "MaxCount", "10")[4:]...); len(out.Changed) != 10 {
		t.Fatalf("launched %d", len(out.Changed))
	}
	b.refused(400, "InsufficientFreeAddressesInSubnet", "RunInstances", launching()...)
	b.do("TerminateInstances", "InstanceId.1", first.ID)
	if again := b.launch(); again.Private != first.Private {
		t.Errorf("got %s, want %s", again.Private, first.Private)
	}
}

func TestPublicAddress(t *testing.T) {
	b := start(t)
	in := func(subnet string, more ...string) instance {
		t.Helper()
		pending := b.do("RunInstances", append([]string{"MinCount", "1", "MaxCount", "1", "ImageId", "ami-1", "InstanceType", "m7.large",
			"NetworkInterface.1.DeviceIndex", "0", "NetworkInterface.1.SubnetId", subnet, "NetworkInterface.1.SecurityGroupId.1", "sg-1"}, more...)...).Changed[0]
		if pending.Private == "" || pending.Public != "" {
			t.Errorf("pending with addresses %q and %q, want the private one", pending.Private, pending.Public)
		}
		return b.look(pending.ID)
	}
	const ask = "NetworkInterface.1.AssociatePublicIpAddress"
	if i := in("subnet-a"); i.Public != "" || i.Groups[0] != "sg-1" {
		t.Errorf("in a private subnet: %+v", i)
	}
	if i := in("subnet-a", ask, "true"); i.Public == "" {
		t.Error("asked for a public address and got none")
	}
	if i := in("subnet-b", ask, "false"); i.Public != "" {
		t.Errorf("got %s and wanted none", i.Public)
	}
	i := in("subnet-b")
	b.do("StopInstances", "InstanceId.1", i.ID)
	stopped := b.look(i.ID)
	b.do("StartInstances", "InstanceId.1", i.ID)
	if again := b.look(i.ID); i.Public == "" || stopped.Public != "" || again.Public == "" || again.Public == i.Public {
		t.Errorf("public address %q, stopped %q, started again %q", i.Public, stopped.Public, again.Public)
	}
}
