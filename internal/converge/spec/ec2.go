package spec

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Texts for editors, of what the checks below take. An ID of EC2 has 17 hexadecimal digits, or 8
// where it is old.
const (
	regionPattern  = `^[a-z]+(-[a-z]+)+-[0-9]+$`
	imagePattern   = `^ami-([0-9a-f]{8}|[0-9a-f]{17})$`
	subnetPattern  = `^subnet-([0-9a-f]{8}|[0-9a-f]{17})$`
	groupPattern   = `^sg-([0-9a-f]{8}|[0-9a-f]{17})$`
	typePattern    = `^[a-z][a-z0-9-]*\.[a-z0-9-]+$`
	keyNamePattern = `^[!-~]([ -~]*[!-~])?$`
	profilePattern = `^[A-Za-z0-9_+=,.@-]+$`
	jumpPattern    = `^[^\s,-][^\s,]*(,[^\s,-][^\s,]*)*$`
)

// Limits of EC2 and IAM: names in characters, volumes in GiB.
const (
	maxKeyName = 255
	maxProfile = 128
	maxVolume  = 16384
)

// usualLogin is the address at which instances are reached where nobody says: no
// machine of a cluster needs to be open to the world.
const usualLogin = "private"

// ec2Keys are the keys of instances that are launched in EC2.
func ec2Keys() []key {
	return append(launchKeys(), reachKeys()...)
}

// launchKeys say what is launched, and where.
func launchKeys() []key {
	return []key{
		key{name: "region", required: true, pattern: regionPattern, example: exampleEC2().Region,
			doc: "Region of the instances.",
		}.text(func(s cluster.Spec) *string { return &s.Hosts.EC2.Region }, checkRegion),
		key{name: "image", required: true, pattern: imagePattern, example: exampleEC2().Image,
			doc: "ID of the image (AMI) that new instances start from: Linux with systemd and cloud-init, such as Debian, Ubuntu or Amazon Linux. Instances that exist keep theirs.",
		}.text(func(s cluster.Spec) *string { return &s.Hosts.EC2.Image }, checkImage),
		key{name: "instanceType", kind: list, single: true, required: true, pattern: typePattern, example: exampleEC2().InstanceTypes[0],
			doc: "Type of new instances, or a list of types of one architecture: the next one is taken where a zone has no room for the one before.",
		}.texts(func(s cluster.Spec) *[]string { return &s.Hosts.EC2.InstanceTypes }, checkType),
		key{name: "subnets", kind: list, required: true, pattern: subnetPattern, example: exampleEC2().Subnets[0],
			doc: "Subnets in which instances are launched, spread evenly. With three subnets, each in another zone, three members survive the loss of one zone.",
		}.texts(func(s cluster.Spec) *[]string { return &s.Hosts.EC2.Subnets }, checkID("subnet", "a subnet")),
		key{name: "securityGroups", kind: list, required: true, pattern: groupPattern, example: exampleEC2().SecurityGroups[0],
			doc: "Security groups of all instances. They must allow port 2380 among the members, 2379 from clients and from this machine, and SSH from this machine.",
		}.texts(func(s cluster.Spec) *[]string { return &s.Hosts.EC2.SecurityGroups }, checkID("sg", "a security group")),
		key{name: "keyName", required: true, pattern: keyNamePattern, most: maxKeyName, example: exampleEC2().KeyName,
			doc: "Name of the EC2 key pair that may log in to new instances.",
		}.text(func(s cluster.Spec) *string { return &s.Hosts.EC2.KeyName }, checkKeyName),
		key{name: "profile", pattern: profilePattern, most: maxProfile, example: "etcd-node",
			doc: "Name of the IAM instance profile of new instances. Members need none.",
		}.text(func(s cluster.Spec) *string { return &s.Hosts.EC2.Profile }, checkProfile),
		{name: "volume", kind: number, least: 1, most: maxVolume, example: "20",
			doc: "Size in GiB of the encrypted volume that a new instance boots from and has its member's data on. If it is not given, as large as the image says.",
			get: func(s cluster.Spec) string { return numeral(s.Hosts.EC2.Volume) },
			set: func(s *cluster.Spec, v string) (err error) {
				s.Hosts.EC2.Volume, err = checkVolume(v)
				return err
			}},
		key{name: "endpoint", hidden: true, pattern: `^https?://`, example: "https://ec2.eu-central-1.amazonaws.com",
			doc: "For tests: where the API is.",
		}.text(func(s cluster.Spec) *string { return &s.Hosts.EC2.Endpoint }, cluster.CheckEndpoint),
	}
}

// reachKeys say how instances are reached.
func reachKeys() []key {
	return []key{
		{name: "login", values: []string{"private", "public"}, example: usualLogin,
			doc: "Address of an instance at which this machine reaches it over SSH. Members listen at the private one either way, and pleiad must reach port 2379 there.",
			get: func(s cluster.Spec) string {
				if s.Hosts.EC2 == nil {
					return usualLogin
				}
				return s.Hosts.EC2.Login
			},
			set: func(s *cluster.Spec, v string) error { s.Hosts.EC2.Login = v; return nil }},
		key{name: "user", pattern: userPattern, example: "admin",
			doc: "User of the image to log in as, who may use sudo without a password: admin on Debian, ubuntu on Ubuntu, ec2-user on Amazon Linux.",
		}.text(func(s cluster.Spec) *string { return &s.Hosts.EC2.User }, checkUser),
		portKey(func(s cluster.Spec) *uint16 { return &s.Hosts.EC2.Port }),
		identityKey("File with the private key of the key pair.", func(s cluster.Spec) *string { return &s.Hosts.EC2.IdentityFile }),
		key{name: "jump", pattern: jumpPattern, example: "admin@bastion.example.com",
			doc: "Machine through which instances are reached over SSH, as in ProxyJump of ssh: USER@HOST:PORT, or several with commas between them. Its host key must be in ~/.ssh/known_hosts.",
		}.text(func(s cluster.Spec) *string { return &s.Hosts.EC2.Jump }, checkJump),
		binariesKey(func(s cluster.Spec) *map[string]string { return &s.Hosts.EC2.Binaries }),
	}
}

func checkRegion(text string) error {
	const want = "expected the name of a region, such as eu-central-1"
	region := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz")
	is := regexp.MustCompile(regionPattern)
	switch {
	case is.MatchString(text):
		return nil
	case is.MatchString(region):
		return fmt.Errorf("a zone of a region; expected the region itself, %s", region)
	}
	return errors.New("not a region; " + want)
}

func checkImage(text string) error {
	if strings.HasPrefix(text, "resolve:ssm:") || strings.HasPrefix(text, "/") {
		return errors.New("the name of a parameter: not in this version yet; expected the ID of an image, such as " + exampleEC2().Image)
	}
	return checkID("ami", "an image")(text)
}

// checkID checks IDs of a kind of things in EC2.
func checkID(prefix, what string) func(text string) error {
	return func(text string) error {
		want := fmt.Sprintf("expected %s- and 17 hexadecimal digits in lower case", prefix)
		digits, ok := strings.CutPrefix(text, prefix+"-")
		switch {
		case !ok:
			return fmt.Errorf("not the ID of %s; %s", what, want)
		case !regexp.MustCompile(`^[0-9a-f]*$`).MatchString(digits):
			return fmt.Errorf("holds other characters; %s", want)
		case len(digits) != 17 && len(digits) != 8:
			return fmt.Errorf("%d characters long after its prefix; %s", len(digits), want)
		}
		return nil
	}
}

func checkType(text string) error {
	if !regexp.MustCompile(typePattern).MatchString(text) {
		return errors.New("not an instance type; expected one such as " + exampleEC2().InstanceTypes[0])
	}
	return nil
}

func checkKeyName(text string) error {
	const want = "expected the name of a key pair in EC2"
	switch n := len([]rune(text)); {
	case n == 0:
		return errors.New("empty; " + want)
	case n > maxKeyName:
		return fmt.Errorf("%d characters long; %s, at most %d", n, want, maxKeyName)
	case !regexp.MustCompile(keyNamePattern).MatchString(text):
		return errors.New("not ASCII, or begins or ends with a space; " + want)
	}
	return nil
}

func checkProfile(text string) error {
	const want = "expected the name of an instance profile"
	switch n := len([]rune(text)); {
	case strings.HasPrefix(text, "arn:"):
		return fmt.Errorf("an ARN; %s, what stands after its last slash", want)
	case n > maxProfile:
		return fmt.Errorf("%d characters long; %s, at most %d", n, want, maxProfile)
	case !regexp.MustCompile(profilePattern).MatchString(text):
		return errors.New("not a name in IAM; " + want)
	}
	return nil
}

// checkVolume takes a size in base ten; to YAML a leading zero is another base.
func checkVolume(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxVolume || strconv.Itoa(n) != text {
		return 0, fmt.Errorf("not the size of a volume; expected GiB as a whole number from 1 to %d", maxVolume)
	}
	return n, nil
}

func checkJump(text string) error {
	const want = "expected USER@HOST:PORT, where USER and PORT may be left out"
	switch {
	case text == "":
		return errors.New("empty; " + want)
	case !regexp.MustCompile(jumpPattern).MatchString(text):
		return errors.New("holds a space, an empty part, or one that begins with a hyphen; " + want)
	}
	return nil
}
