package ec2fake_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2/ec2fake"
)

func ids(all []instance) []string {
	var out []string
	for _, i := range all {
		out = append(out, i.ID)
	}
	return out
}

// where are the parameters of filters: name and values each.
func where(filters ...[]string) []string {
	var out []string
	for n, f := range filters {
		prefix := "Filter." + strconv.Itoa(n+1)
		out = append(out, prefix+".Name", f[0])
		for m, value := range f[1:] {
			out = append(out, prefix+".Value."+strconv.Itoa(m+1), value)
		}
	}
	return out
}

func TestFilters(t *testing.T) {
	b := start(t)
	first := b.launch("ClientToken", "t1", "TagSpecification.1.ResourceType", "instance",
		"TagSpecification.1.Tag.1.Key", "cluster", "TagSpecification.1.Tag.1.Value", "c1",
		"TagSpecification.1.Tag.2.Key", "empty", "TagSpecification.1.Tag.2.Value", "").ID
	second := b.Seed(ec2fake.Instance{Subnet: "subnet-b", Tags: map[string]string{"cluster": "c1*"}}).ID
	both := []string{first, second}
	slices.Sort(both)
	for _, c := range []struct {
		filters [][]string
		want    []string
	}{
		{nil, both},
		{[][]string{{"tag:cluster", "c1"}}, []string{first}},
		{[][]string{{"tag:cluster", "C1"}}, nil},
		{[][]string{{"tag:cluster", "c1*"}}, both},
		{[][]string{{"tag:cluster", `c1\*`}}, []string{second}},
		{[][]string{{"tag:cluster", "c?"}}, []string{first}},
		{[][]string{{"tag:empty", ""}}, []string{first}},
		{[][]string{{"tag-key", "cluster"}}, both},
		{[][]string{{"tag:cluster", "x", "c1"}}, []string{first}},
		{[][]string{{"tag-key", "cluster"}, {"subnet-id", "subnet-b"}}, []string{second}},
		{[][]string{{"instance-state-name", "pending", "stopped"}}, nil},
		{[][]string{{"instance-state-name", "running"}}, both},
		{[][]string{{"client-token", "t1"}}, []string{first}},
		{[][]string{{"instance-id", second}}, []string{second}},
		{[][]string{{"vpc-id", "vpc-2"}}, nil},
	} {
		if d := cmp.Diff(c.want, ids(b.do("DescribeInstances", where(c.filters...)...).Found)); d != "" {
			t.Errorf("%q: want -, found +:\n%s", c.filters, d)
		}
	}
}

func TestPages(t *testing.T) {
	b := start(t)
	var want []string
	for range 12 {
		want = append(want, b.Seed(ec2fake.Instance{Subnet: "subnet-b"}).ID)
	}
	slices.Sort(want)
	var have []string
	page := b.do("DescribeInstances", "MaxResults", "5")
	token := page.NextToken
	for have = ids(page.Found); page.NextToken != ""; have = append(have, ids(page.Found)...) {
		if len(page.Found) != 5 {
			t.Errorf("a page of %d", len(page.Found))
		}
		page = b.do("DescribeInstances", "MaxResults", "5", "NextToken", page.NextToken)
	}
	if !slices.Equal(have, want) {
		t.Errorf("pages have %q, want %q", have, want)
	}
	b.refused(400, "InvalidPaginationToken", "DescribeInstances", append(where([]string{"subnet-id", "subnet-b"}), "NextToken", token)...)
	b.refused(400, "InvalidPaginationToken", "DescribeInstances", "NextToken", "x")
	b.refused(400, "InvalidParameterValue", "DescribeInstances", "MaxResults", "4")
	b.refused(400, "InvalidParameterCombination", "DescribeInstances", "MaxResults", "5", "InstanceId.1", want[0])
}

// The pages of one list are one list for what is late.
func TestPagesAndLag(t *testing.T) {
	b := start(t)
	b.PageLimit = 1
	b.SetLag(ec2fake.Lag{Unseen: 1})
	b.Seed(ec2fake.Instance{})
	b.Seed(ec2fake.Instance{})
	b.launch()
	first := b.do("DescribeInstances")
	second := b.do("DescribeInstances", "NextToken", first.NextToken)
	if second.NextToken != "" {
		t.Error("the unseen instance came with a later page")
	}
	if n := len(b.do("DescribeInstances", "MaxResults", "5").Found); n != 1 {
		t.Errorf("a page of %d, want 1", n)
	}
}

func TestVolumes(t *testing.T) {
	b := start(t)
	i := b.launch()
	free := b.SeedVolume(ec2fake.Volume{Tags: map[string]string{"owner": "them"}}).ID
	for _, c := range []struct {
		filter []string
		want   string
	}{
		{[]string{"status", "available"}, free},
		{[]string{"status", "in-use"}, i.Volumes[0]},
		{[]string{"tag:owner", "them"}, free},
		{[]string{"attachment.instance-id", i.ID}, i.Volumes[0]},
	} {
		if found := b.do("DescribeVolumes", where(c.filter)...).Volumes; len(found) != 1 || found[0].ID != c.want {
			t.Errorf("%q: %+v, want %s", c.filter, found, c.want)
		}
	}
	b.refused(400, "VolumeInUse", "DeleteVolume", "VolumeId", i.Volumes[0])
	b.refused(400, "InvalidVolumeID.Malformed", "DeleteVolume", "VolumeId", "vol-x")
	b.do("DeleteVolume", "VolumeId", free)
	b.refused(400, "InvalidVolume.NotFound", "DeleteVolume", "VolumeId", free)
	b.refused(400, "InvalidVolume.NotFound", "DescribeVolumes", "VolumeId.1", free)
}

func TestAccount(t *testing.T) {
	b := start(t)
	if have := b.do("DescribeSubnets", where([]string{"availability-zone-id", "euc1-az3"})...).Subnets; !slices.Equal(have, []string{"subnet-b"}) {
		t.Errorf("subnets %q", have)
	}
	if have := b.do("DescribeImages", "ImageId.1", "ami-1").Images; !slices.Equal(have, []string{"ami-1"}) {
		t.Errorf("images %q", have)
	}
	if have := b.do("DescribeSecurityGroups", where([]string{"vpc-id", "vpc-1"})...).Groups; !slices.Equal(have, []string{"sg-1", "sg-2"}) {
		t.Errorf("groups %q", have)
	}
	if have := b.do("DescribeKeyPairs", "KeyName.1", "ops").KeyPairs; !slices.Equal(have, []string{"ops"}) {
		t.Errorf("key pairs %q", have)
	}
	b.refused(400, "InvalidSubnetID.NotFound", "DescribeSubnets", "SubnetId.1", "subnet-x")
	b.refused(400, "InvalidAMIID.NotFound", "DescribeImages", "ImageId.1", "ami-9")
	b.refused(400, "InvalidGroup.NotFound", "DescribeSecurityGroups", "GroupId.1", "sg-9")
	b.refused(400, "InvalidKeyPair.NotFound", "DescribeKeyPairs", "KeyName.1", "nobody")
}

func TestTags(t *testing.T) {
	b := start(t)
	i := b.launch()
	tags := func() []tag { t.Helper(); return b.look(i.ID).Tags }
	b.do("CreateTags", "ResourceId.1", i.ID, "ResourceId.2", i.Volumes[0], "ResourceId.3", i.Interfaces[0], "Tag.1.Key", "a", "Tag.1.Value", "1", "Tag.2.Key", "b", "Tag.2.Value", "2")
	b.do("CreateTags", "ResourceId.1", i.ID, "Tag.1.Key", "a", "Tag.1.Value", "3")
	if d := cmp.Diff([]tag{{"a", "3"}, {"b", "2"}}, tags()); d != "" {
		t.Errorf("want -, found +:\n%s", d)
	}
	if v := b.Volumes()[0].Tags["b"]; v != "2" {
		t.Errorf("the volume's tag is %q", v)
	}
	if v := b.Instances()[0].InterfaceTags["b"]; v != "2" {
		t.Errorf("the interface's tag is %q", v)
	}
	b.do("DeleteTags", "ResourceId.1", i.ID, "Tag.1.Key", "a", "Tag.1.Value", "1", "Tag.2.Key", "b")
	if d := cmp.Diff([]tag{{"a", "3"}}, tags()); d != "" {
		t.Errorf("want -, found +:\n%s", d)
	}
	b.do("DeleteTags", "ResourceId.1", i.ID)
	if left := tags(); len(left) != 0 {
		t.Errorf("left %q", left)
	}
	b.refused(400, "InvalidID", "CreateTags", "ResourceId.1", "x", "Tag.1.Key", "a")
	b.refused(400, "InvalidNetworkInterfaceID.NotFound", "CreateTags", "ResourceId.1", "eni-1", "Tag.1.Key", "a")
	b.refused(400, "InvalidVolume.NotFound", "CreateTags", "ResourceId.1", i.ID, "ResourceId.2", "vol-00000000", "Tag.1.Key", "a")
	if left := tags(); len(left) != 0 {
		t.Errorf("a call that was refused made tags %q", left)
	}
}

func TestTagLimit(t *testing.T) {
	b := start(t)
	i := b.launch()
	var fifty []string
	for n := range 50 {
		fifty = append(fifty, "Tag."+strconv.Itoa(n+1)+".Key", strconv.Itoa(n))
	}
	b.do("CreateTags", append(fifty, "ResourceId.1", i.ID)...)
	b.refused(400, "TagLimitExceeded", "CreateTags", "ResourceId.1", i.ID, "Tag.1.Key", "one more")
}
