package ec2fake

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

type stateXML struct {
	Code int   `xml:"code"`
	Name State `xml:"name"`
}

func stateOf(s State) stateXML { return stateXML{s.code(), s} }

type changeXML struct {
	ID       string   `xml:"instanceId"`
	Current  stateXML `xml:"currentState"`
	Previous stateXML `xml:"previousState"`
}

type tagXML struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

func tagSet(tags map[string]string) *set[tagXML] {
	if len(tags) == 0 {
		return nil
	}
	out := setOf(slices.Sorted(maps.Keys(tags)), func(key string) tagXML { return tagXML{key, tags[key]} })
	return &out
}

type groupXML struct {
	Owner       string `xml:"ownerId,omitempty"`
	ID          string `xml:"groupId"`
	Name        string `xml:"groupName"`
	Description string `xml:"groupDescription,omitempty"`
	VPC         string `xml:"vpcId,omitempty"`
}

type keyPairXML struct {
	ID   string `xml:"keyPairId"`
	Name string `xml:"keyName"`
	Type string `xml:"keyType"`
}

type reservationXML struct {
	ID        string           `xml:"reservationId"`
	Owner     string           `xml:"ownerId"`
	Groups    set[groupXML]    `xml:"groupSet"`
	Instances set[instanceXML] `xml:"instancesSet"`
}

// answer is the reservation as RunInstances answers it.
func (r reservationXML) answer() answer {
	return answer{{"reservationId", r.ID}, {"ownerId", r.Owner}, {"groupSet", r.Groups}, {"instancesSet", r.Instances}}
}

type reasonXML struct {
	Code    string `xml:"code"`
	Message string `xml:"message"`
}

type profileXML struct {
	ARN string `xml:"arn"`
	ID  string `xml:"id"`
}

type placementXML struct {
	Zone    string `xml:"availabilityZone"`
	Group   string `xml:"groupName"`
	Tenancy string `xml:"tenancy"`
}

type metadataXML struct {
	State    string `xml:"state"`
	Tokens   string `xml:"httpTokens"`
	HopLimit int    `xml:"httpPutResponseHopLimit"`
	Endpoint string `xml:"httpEndpoint"`
	Tags     string `xml:"instanceMetadataTags"`
}

type instanceXML struct {
	ID           string            `xml:"instanceId"`
	Image        string            `xml:"imageId"`
	State        stateXML          `xml:"instanceState"`
	PrivateName  string            `xml:"privateDnsName"`
	PublicName   string            `xml:"dnsName"`
	Reason       string            `xml:"reason"`
	Key          string            `xml:"keyName,omitempty"`
	Index        int               `xml:"amiLaunchIndex"`
	Type         string            `xml:"instanceType"`
	Launched     string            `xml:"launchTime"`
	Placement    placementXML      `xml:"placement"`
	Monitoring   string            `xml:"monitoring>state"`
	Subnet       string            `xml:"subnetId,omitempty"`
	VPC          string            `xml:"vpcId,omitempty"`
	Private      string            `xml:"privateIpAddress,omitempty"`
	Public       string            `xml:"ipAddress,omitempty"`
	Groups       set[groupXML]     `xml:"groupSet"`
	StateReason  *reasonXML        `xml:"stateReason"`
	Architecture string            `xml:"architecture"`
	RootType     string            `xml:"rootDeviceType"`
	RootDevice   string            `xml:"rootDeviceName"`
	Devices      set[deviceXML]    `xml:"blockDeviceMapping"`
	Kind         string            `xml:"virtualizationType"`
	Token        string            `xml:"clientToken"`
	Tags         *set[tagXML]      `xml:"tagSet"`
	Interfaces   set[interfaceXML] `xml:"networkInterfaceSet"`
	Profile      *profileXML       `xml:"iamInstanceProfile"`
	Metadata     metadataXML       `xml:"metadataOptions"`
}

type deviceXML struct {
	Name string `xml:"deviceName"`
	EBS  struct {
		Volume   string `xml:"volumeId"`
		Status   string `xml:"status"`
		Attached string `xml:"attachTime"`
		Delete   bool   `xml:"deleteOnTermination"`
	} `xml:"ebs"`
}

type interfaceXML struct {
	ID          string          `xml:"networkInterfaceId"`
	Subnet      string          `xml:"subnetId"`
	VPC         string          `xml:"vpcId"`
	Owner       string          `xml:"ownerId"`
	Status      string          `xml:"status"`
	Private     string          `xml:"privateIpAddress"`
	Groups      set[groupXML]   `xml:"groupSet"`
	Device      int             `xml:"attachment>deviceIndex"`
	Attachment  string          `xml:"attachment>status"`
	Delete      bool            `xml:"attachment>deleteOnTermination"`
	Association *associationXML `xml:"association"`
	Kind        string          `xml:"interfaceType"`
}

type associationXML struct {
	Public string `xml:"publicIp"`
	Owner  string `xml:"ipOwnerId"`
}

func (s *Server) shown(i *instance) instanceXML {
	out := instanceXML{
		ID: i.ID, Image: i.Image, State: stateOf(i.State), Key: i.KeyName, Index: i.index, Type: i.Type, Launched: stamp(i.Launched),
		Placement: placementXML{Zone: i.Zone, Tenancy: "default"}, Monitoring: "disabled", Subnet: i.Subnet, VPC: i.VPC,
		Private: text(i.PrivateAddress), Public: text(i.shownPublic()), Groups: groupSet(i.SecurityGroups),
		Architecture: "x86_64", RootType: "ebs", RootDevice: rootDevice, Devices: setOf(i.Volumes, s.device), Kind: "hvm",
		Token: i.ClientToken, Tags: tagSet(i.Tags),
		Metadata: metadataXML{"applied", i.Metadata.Tokens, i.Metadata.HopLimit, i.Metadata.Endpoint, i.Metadata.Tags},
	}
	if i.Reason != "" {
		out.Reason = "User initiated"
		out.StateReason = &reasonXML{i.Reason, i.Reason + ": why the state changed"}
	}
	if i.PrivateAddress.IsValid() {
		out.PrivateName = "ip-" + strings.ReplaceAll(out.Private, ".", "-") + "." + s.account.Region + ".compute.internal"
		out.Interfaces.Items = []interfaceXML{i.networkInterface()}
	}
	if i.Profile != "" {
		out.Profile = &profileXML{"arn:aws:iam::" + owner + ":instance-profile/" + i.Profile, fmt.Sprintf("AIPA%X", i.Profile)}
	}
	return out
}

func (i *instance) networkInterface() interfaceXML {
	out := interfaceXML{
		ID: i.Interface, Subnet: i.Subnet, VPC: i.VPC, Owner: owner, Status: "in-use", Private: text(i.PrivateAddress),
		Groups: groupSet(i.SecurityGroups), Attachment: "attached", Delete: true, Kind: "interface",
	}
	if public := i.shownPublic(); public.IsValid() {
		out.Association = &associationXML{text(public), "amazon"}
	}
	return out
}

// shownPublic is the public address, which shows late: a pending instance has
// its private one alone.
func (i *instance) shownPublic() netip.Addr {
	if i.State == Pending {
		return netip.Addr{}
	}
	return i.PublicAddress
}

func (s *Server) device(volume string) deviceXML {
	v := s.volumes[volume]
	out := deviceXML{Name: v.Device}
	out.EBS.Volume, out.EBS.Status, out.EBS.Attached, out.EBS.Delete = v.ID, "attached", stamp(v.Created), v.DeleteOnTermination
	return out
}

func groupSet(ids []string) set[groupXML] {
	return setOf(ids, func(id string) groupXML { return groupXML{ID: id, Name: id} })
}

// text is an address, or nothing.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

type volumeXML struct {
	ID          string             `xml:"volumeId"`
	Size        int                `xml:"size"`
	Snapshot    string             `xml:"snapshotId"`
	Zone        string             `xml:"availabilityZone"`
	Status      string             `xml:"status"`
	Created     string             `xml:"createTime"`
	Attachments set[attachmentXML] `xml:"attachmentSet"`
	Tags        *set[tagXML]       `xml:"tagSet"`
	Type        string             `xml:"volumeType"`
	IOPS        int                `xml:"iops,omitempty"`
	Throughput  int                `xml:"throughput,omitempty"`
	Encrypted   bool               `xml:"encrypted"`
	Key         string             `xml:"kmsKeyId,omitempty"`
}

type attachmentXML struct {
	Volume   string `xml:"volumeId"`
	Instance string `xml:"instanceId"`
	Device   string `xml:"device"`
	Status   string `xml:"status"`
	Attached string `xml:"attachTime"`
	Delete   bool   `xml:"deleteOnTermination"`
}

func (v *Volume) shown() volumeXML {
	out := volumeXML{
		ID: v.ID, Size: v.Size, Zone: v.Zone, Status: v.State, Created: stamp(v.Created), Tags: tagSet(v.Tags),
		Type: v.Type, IOPS: v.IOPS, Throughput: v.Throughput, Encrypted: v.Encrypted, Key: v.Key,
	}
	if v.State == InUse {
		out.Attachments.Items = []attachmentXML{{v.ID, v.Instance, v.Device, "attached", stamp(v.Created), v.DeleteOnTermination}}
	}
	return out
}

type subnetXML struct {
	ID        string `xml:"subnetId"`
	State     string `xml:"state"`
	VPC       string `xml:"vpcId"`
	Prefix    string `xml:"cidrBlock"`
	Available int    `xml:"availableIpAddressCount"`
	Zone      string `xml:"availabilityZone"`
	ZoneID    string `xml:"availabilityZoneId"`
	Default   bool   `xml:"defaultForAz"`
	Public    bool   `xml:"mapPublicIpOnLaunch"`
	Owner     string `xml:"ownerId"`
}

func (s *Server) shownSubnet(n Subnet) any {
	return subnetXML{
		ID: n.ID, State: "available", VPC: n.VPC, Prefix: n.Prefix.String(), Available: len(s.free(n)),
		Zone: n.Zone, ZoneID: n.ZoneID, Public: n.Public, Owner: owner,
	}
}

type imageXML struct {
	ID           string `xml:"imageId"`
	State        string `xml:"imageState"`
	Owner        string `xml:"imageOwnerId"`
	Public       bool   `xml:"isPublic"`
	Architecture string `xml:"architecture"`
	Name         string `xml:"name"`
	RootType     string `xml:"rootDeviceType"`
	RootDevice   string `xml:"rootDeviceName"`
	Devices      set[struct {
		Name string `xml:"deviceName"`
		EBS  struct {
			Size   int    `xml:"volumeSize"`
			Type   string `xml:"volumeType"`
			Delete bool   `xml:"deleteOnTermination"`
		} `xml:"ebs"`
	}] `xml:"blockDeviceMapping"`
	Kind string `xml:"virtualizationType"`
}

func (s *Server) shownImage(id string) any {
	out := imageXML{
		ID: id, State: "available", Owner: owner, Public: true, Architecture: "x86_64", Name: "image " + id,
		RootType: "ebs", RootDevice: rootDevice, Kind: "hvm",
	}
	out.Devices.Items = append(out.Devices.Items, struct {
		Name string `xml:"deviceName"`
		EBS  struct {
			Size   int    `xml:"volumeSize"`
			Type   string `xml:"volumeType"`
			Delete bool   `xml:"deleteOnTermination"`
		} `xml:"ebs"`
	}{})
	d := &out.Devices.Items[0]
	d.Name, d.EBS.Size, d.EBS.Type, d.EBS.Delete = rootDevice, rootSize, "gp3", true
	return out
}
