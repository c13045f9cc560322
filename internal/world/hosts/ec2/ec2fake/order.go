package ec2fake

import (
	"encoding/base64"
	"net/netip"
	"strings"
)

// order is what a call of RunInstances asks for.
type order struct {
	least, most                       int
	image, kind, key, profile, client string
	userData                          []byte
	protected                         bool
	metadata                          Metadata
	network                           network
	disks                             []disk
	tags                              map[string]map[string]string // by type of resource
}

// network is where an instance is in it.
type network struct {
	subnet  string
	groups  []string
	address netip.Addr // wanted; invalid for any
	public  string     // "true", "false", or as the subnet says
}

// longestUserData is how long user data may be before it is encoded.
const longestUserData = 16384

func (c *call) order() order {
	o := order{
		least:     c.count("MinCount"),
		most:      c.count("MaxCount"),
		image:     c.required("ImageId"),
		kind:      c.text("InstanceType"),
		key:       c.text("KeyName"),
		profile:   c.profile(),
		client:    c.text("ClientToken"),
		userData:  c.userData(),
		protected: c.boolean("DisableApiTermination", false),
		metadata:  c.metadata(),
		network:   c.network(),
		disks:     c.disks(),
		tags:      c.tagSpecifications(),
	}
	if o.kind == "" {
		o.kind = "m1.small" // EC2's default
	}
	if o.most < o.least {
		c.refuse("InvalidParameterValue", "MaxCount %d is less than MinCount %d", o.most, o.least)
	}
	if len(o.client) > 64 || strings.ContainsFunc(o.client, func(r rune) bool { return r < ' ' || r > '~' }) {
		c.refuse("InvalidParameterValue", "A client token has at most 64 ASCII characters")
	}
	if o.metadata.Tags == "enabled" {
		c.plainKeys(o.tags["instance"])
	}
	return o
}

func (c *call) count(key string) int {
	c.required(key)
	return c.number(key, 1, 1, 1000)
}

// profile is the name of an instance profile, which can be given by its ARN.
func (c *call) profile() string {
	name, arn := c.text("IamInstanceProfile.Name"), c.text("IamInstanceProfile.Arn")
	if name != "" && arn != "" {
		c.refuse("InvalidParameterCombination", "The parameter iamInstanceProfile.name cannot be used in combination with iamInstanceProfile.arn")
	}
	if arn != "" {
		if name = arn[strings.LastIndex(arn, "/")+1:]; !strings.HasPrefix(arn, "arn:aws:iam::") {
			c.refuse("InvalidIamInstanceProfileArn.Malformed", "The specified IAM instance profile ARN %s is not valid", arn)
		}
	}
	return name
}

func (c *call) userData() []byte {
	raw, err := base64.StdEncoding.DecodeString(c.text("UserData"))
	if err != nil {
		c.refuse("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
	}
	if len(raw) > longestUserData {
		c.refuse("InvalidParameterValue", "User data is limited to %d bytes", longestUserData)
	}
	return raw
}

func (c *call) metadata() Metadata {
	return Metadata{
		Tokens:   c.one("MetadataOptions.HttpTokens", "optional", "required"),
		Endpoint: c.one("MetadataOptions.HttpEndpoint", "enabled", "disabled"),
		HopLimit: c.number("MetadataOptions.HttpPutResponseHopLimit", 1, 1, 64),
		Tags:     c.one("MetadataOptions.InstanceMetadataTags", "disabled", "enabled"),
	}
}

// network reads where the instance is to be, of the instance itself or of its
// one network interface; EC2 takes either form and not both.
func (c *call) network() network {
	groups := c.groups("NetworkInterface")
	if len(groups) == 0 {
		return network{subnet: c.text("SubnetId"), groups: c.list("SecurityGroupId"), address: c.address("PrivateIpAddress")}
	}
	for _, key := range []string{"SubnetId", nth("SecurityGroupId", 0), "PrivateIpAddress"} {
		if c.has(key) {
			c.text(key)
			c.refuse("InvalidParameterCombination", "Network interfaces and an instance-level %s may not be specified on the same request", key)
		}
	}
	name := groups[0] + "."
	if c.required(name+"DeviceIndex") != "0" || len(groups) > 1 {
		c.refuse("UnsupportedOperation", "This fake knows one network interface, with device index 0")
	}
	if !c.boolean(name+"DeleteOnTermination", true) {
		c.refuse("UnsupportedOperation", "This fake ends a network interface with its instance")
	}
	c.text(name + "Description")
	n := network{subnet: c.text(name + "SubnetId"), groups: c.list(name + "SecurityGroupId"), address: c.address(name + "PrivateIpAddress")}
	if c.boolean(name+"AssociatePublicIpAddress", false); c.has(name + "AssociatePublicIpAddress") {
		n.public = c.text(name + "AssociatePublicIpAddress")
	}
	return n
}

func (c *call) address(key string) netip.Addr {
	text := c.text(key)
	if text == "" {
		return netip.Addr{}
	}
	out, err := netip.ParseAddr(text)
	if err != nil || !out.Is4() {
		c.refuse("InvalidParameterValue", "Value (%s) for parameter %s is invalid. Invalid IPv4 address", text, key)
	}
	return out
}
