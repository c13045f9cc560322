package ec2fake

import "slices"

// rootDevice is the device of the root volume of every image.
const rootDevice = "/dev/xvda"

// rootSize is the size in GiB of every image.
const rootSize = 8

// disk is a volume that an instance is launched with.
type disk struct {
	device           string
	size             int
	kind             string
	iops, throughput int
	encrypted        bool
	key              string
	delete           bool
}

// disks reads BlockDeviceMapping.N. The root volume comes first in the result,
// and is there in any case: the image brings one.
func (c *call) disks() []disk {
	all := []disk{{device: rootDevice, size: rootSize, kind: "gp3", iops: 3000, throughput: 125, delete: true}}
	var seen []string
	for _, group := range c.groups("BlockDeviceMapping") {
		device := c.required(group + ".DeviceName")
		if slices.Contains(seen, device) {
			c.refuse("InvalidBlockDeviceMapping", "The device '%s' is used in more than one block-device mapping", device)
		}
		seen = append(seen, device)
		d := c.disk(group+".Ebs.", device)
		if device == rootDevice {
			all[0] = d
		} else {
			all = append(all, d)
		}
	}
	return all
}

func (c *call) disk(name, device string) disk {
	kind := "gp2"
	if device == rootDevice {
		kind = "gp3" // as the image says
	}
	d := disk{
		device:    device,
		size:      c.number(name+"VolumeSize", 0, 1, 65536),
		kind:      c.one(name+"VolumeType", kind, "gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"),
		encrypted: c.boolean(name+"Encrypted", false),
		key:       c.text(name + "KmsKeyId"),
		delete:    c.boolean(name+"DeleteOnTermination", true),
	}
	switch {
	case d.size == 0 && device != rootDevice:
		c.refuse("MissingParameter", "The request must contain the parameter size or snapshotId")
	case d.size == 0:
		d.size = rootSize
	case d.size < rootSize && device == rootDevice:
		c.refuse("InvalidBlockDeviceMapping", "Volume of size %dGB is smaller than snapshot of the image, expect size >= %dGB", d.size, rootSize)
	}
	if d.key != "" && !d.encrypted {
		c.refuse("InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set.")
	}
	d.iops, d.throughput = c.speed(name, d)
	return d
}

// speed reads what may be said of a volume's speed, which depends on its type.
func (c *call) speed(name string, d disk) (iops, throughput int) {
	switch d.kind {
	case "gp3":
		iops = c.number(name+"Iops", 3000, 3000, 80000)
		throughput = c.number(name+"Throughput", 125, 125, 2000)
		if iops > 3000 && iops > 500*d.size {
			c.refuse("InvalidParameterCombination", "Iops to volume size ratio is too high; maximum is 500")
		}
		return iops, throughput
	case "io1", "io2":
		c.required(name + "Iops")
		iops = c.number(name+"Iops", 100, 100, 64000)
	default:
		if c.text(name+"Iops") != "" {
			c.refuse("InvalidParameterCombination", "The parameter iops is not supported for %s volumes.", d.kind)
		}
	}
	if c.text(name+"Throughput") != "" {
		c.refuse("InvalidParameterCombination", "The parameter throughput is not supported for %s volumes.", d.kind)
	}
	return iops, 0
}
