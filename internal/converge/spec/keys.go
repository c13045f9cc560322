package spec

import (
	"regexp"
	"slices"
	"strconv"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec/option"
)

// kind is what may stand behind a key.
type kind int

const (
	word    kind = iota // text
	number              // a whole number
	list                // of words, each of them once
	group               // keys of its own
	choice              // exactly one of its keys, each a group
	options             // etcd's options: names to texts, numbers or booleans
)

// key is all that is known of one key of pleiad.yaml. Parser, writer, template
// and schema are drawn from it.
type key struct {
	name string
	// doc says what it means, with unit, default and danger, for people who
	// write a file.
	doc      string
	kind     kind
	required bool
	// values are the only ones there are, if they can be listed; later are
	// values, or keys, of releases to come. derived says that the value follows
	// from other keys: a file may only repeat it.
	values, later []string
	derived       bool
	// pattern describes a word, or each word of a list, to editors: a regular
	// expression. least and most are the bounds of a number, and most is the
	// greatest length of a word in characters. The parser says it better.
	pattern     string
	least, most int
	// single says that one word may stand for a list of one.
	single bool
	// example stands in templates, as a comment where it is not the value; of
	// a list it is one item.
	example string
	// hidden says that no template shows it: it is for tests.
	hidden bool
	// isFile says that the word is the path of a file.
	isFile bool

	// set checks a word or number and puts it into the spec; get takes it out,
	// empty if there is none.
	set func(s *cluster.Spec, v string) error
	get func(s cluster.Spec) string

	// item checks one word of a list and returns it as it is kept; put gives
	// the spec the whole list, and items takes it out.
	item  func(v string) (string, error)
	put   func(s *cluster.Spec, items []string)
	items func(s cluster.Spec) []string

	// keys of a group or choice, and whether a group needs some of them; of a word
	// what may stand in place of it, where it has settings.
	keys []key
	some bool
	// pick makes the spec use a group that it can be without, in a choice this
	// group and no other; picked says whether it does. fits says of a group
	// outside a choice in which specs it makes sense at all.
	pick         func(s *cluster.Spec)
	picked, fits func(s cluster.Spec) bool
}

// labels in a domain name, either case, for editors.
const (
	labelPattern  = `^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`
	domainPattern = `^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+\.?$`
	zonePattern   = `^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\.?$`
)

// keys are the keys of pleiad.yaml, in the order in which people read them.
func keys() []key {
	return []key{
		{name: "cluster", required: true, pattern: labelPattern, most: maxCluster, example: "dev",
			doc: "Name of the cluster, unique on this machine: letters, digits and hyphens.",
			get: func(s cluster.Spec) string { return string(s.Cluster) },
			set: func(s *cluster.Spec, v string) (err error) {
				name, err := checkLabel(v, maxCluster)
				s.Cluster = cluster.Name(name)
				return err
			}},
		{name: "domain", required: true, pattern: domainPattern, most: maxName + 1, example: "dev.test",
			doc: "Discovery domain, the value of etcd's --discovery-srv. All records are written below it.",
			get: func(s cluster.Spec) string { return s.Domain },
			set: func(s *cluster.Spec, v string) (err error) {
				s.Domain, err = checkDiscoveryDomain(v)
				return err
			}},
		{name: "discoveryName", pattern: labelPattern, most: maxDiscovery, example: "c2",
			doc: "Lets several clusters share a domain: etcd's --discovery-srv-name, which clients must then give as well.",
			get: func(s cluster.Spec) string { return s.DiscoveryName },
			set: func(s *cluster.Spec, v string) (err error) {
				s.DiscoveryName, err = checkLabel(v, maxDiscovery)
				return err
			}},
		{name: "members", kind: number, values: []string{"1", "3", "5", "7", "9"}, example: "3",
			doc: "Number of voters. The cluster serves while more than half of them are alive: 3 tolerate the loss of one, 5 the loss of two.",
			get: func(s cluster.Spec) string { return strconv.Itoa(s.Members) },
			set: func(s *cluster.Spec, v string) (err error) {
				s.Members, err = checkMembers(v)
				return err
			}},
		{name: "tls", values: []string{"auto", "off"}, example: "auto",
			doc: "auto: pleiad makes a CA for the cluster and issues all certificates. off: anybody who reaches a member can read and write everything. Decide before the first start: it is part of every member's identity.",
			get: func(s cluster.Spec) string {
				if s.TLS {
					return "auto"
				}
				return "off"
			},
			set: func(s *cluster.Spec, v string) error { s.TLS = v == "auto"; return nil }},
		{name: "etcd", kind: group, doc: "The etcd that runs.", keys: etcdKeys()},
		{name: "hosts", kind: choice, doc: "Where members run: one kind of host.", keys: hostsKeys()},
		{name: "dns", kind: choice, doc: "Where records are written: one provider.", keys: dnsKeys()},
		{name: "deliver", values: []string{"local", "systemd", "chef"}, later: []string{"cloud-init"}, derived: true, example: "local", keys: deliverKeys(),
			doc: "How a host gets what its member needs: local for hosts of kind local, systemd for machines, or chef where a run of Chef or Cinc lays it down there; its settings may stand below it. It follows from the hosts unless it is chef.",
			get: func(s cluster.Spec) string {
				if s.Chef != nil {
					return "chef"
				}
				return delivery(s.Hosts)
			},
			set: func(s *cluster.Spec, v string) error { // compared with the hosts once those are read
				if v == "chef" {
					s.Chef = usualChef()
				}
				return nil
			}},
	}
}

func etcdKeys() []key {
	return []key{
		{name: "source", values: []string{"bundled", "release"}, later: []string{"path"}, example: "bundled",
			doc: "bundled: the etcd inside the pleiad binary. release: an official one, on machines: hosts of kind ssh or ec2.",
			get: func(s cluster.Spec) string { return s.Etcd.Source },
			set: func(s *cluster.Spec, v string) error { s.Etcd.Source = v; return nil }},
		{name: "release", kind: group, keys: releaseKeys(),
			doc:    "The official release to run where source is release. It is fetched from BASEURL/vVERSION/etcd-vVERSION-linux-ARCH.tar.gz and refused if its SHA-256 differs from the one here.",
			pick:   func(s *cluster.Spec) { s.Etcd.Release = &cluster.EtcdRelease{BaseURL: officialReleases} },
			picked: func(s cluster.Spec) bool { return s.Etcd.Release != nil },
			fits:   cluster.Spec.OnMachines},
		{name: "options", kind: options, example: "auto-compaction-retention: 1h",
			doc: "Options of etcd, named as its flags without the dashes. Unless they say otherwise, history older than an hour is compacted, the database may grow to 8 GiB, and members check each other's data for corruption."},
	}
}

func hostsKeys() []key {
	return []key{
		{name: "local", kind: group, doc: "Processes on this machine, each with a folder and an address of its own.",
			pick:   func(s *cluster.Spec) { s.Hosts = cluster.HostsSpec{Local: &cluster.LocalHosts{}} },
			picked: func(s cluster.Spec) bool { return s.Hosts.Local != nil }},
		{name: "ssh", kind: group, keys: sshKeys(),
			doc:    "Machines of your own, with Linux and systemd, reached over SSH. Keys left out are as ssh itself has them: from ~/.ssh/config, the agent, ~/.ssh/known_hosts.",
			pick:   func(s *cluster.Spec) { s.Hosts = cluster.HostsSpec{SSH: &cluster.SSHHosts{}} },
			picked: func(s cluster.Spec) bool { return s.Hosts.SSH != nil }},
		{name: "ec2", kind: group, keys: ec2Keys(),
			doc:    "Instances in Amazon EC2 that pleiad launches and terminates itself, one a member. The credentials are those of every AWS tool: the environment, ~/.aws, or the role of this machine.",
			pick:   func(s *cluster.Spec) { s.Hosts = cluster.HostsSpec{EC2: &cluster.EC2Hosts{Login: usualLogin}} },
			picked: func(s cluster.Spec) bool { return s.Hosts.EC2 != nil }},
	}
}

func dnsKeys() []key {
	return []key{
		{name: "embedded", kind: group, doc: "pleiad's own name server, a process on this machine.",
			pick:   func(s *cluster.Spec) { s.DNS = cluster.DNSSpec{Embedded: &cluster.EmbeddedDNS{}} },
			picked: func(s cluster.Spec) bool { return s.DNS.Embedded != nil }},
		{name: "rfc2136", kind: group, doc: "A name server that takes dynamic updates signed with TSIG, such as BIND, Knot or PowerDNS.",
			pick:   func(s *cluster.Spec) { s.DNS = cluster.DNSSpec{RFC2136: &cluster.RFC2136DNS{}} },
			picked: func(s cluster.Spec) bool { return s.DNS.RFC2136 != nil },
			keys: []key{
				{name: "server", required: true, example: exampleDNS().Server,
					doc: "The primary server: host or host:port, port 53 if it is not given.",
					get: func(s cluster.Spec) string { return s.DNS.RFC2136.Server },
					set: func(s *cluster.Spec, v string) (err error) {
						s.DNS.RFC2136.Server, err = checkServer(v)
						return err
					}},
				{name: "zone", required: true, pattern: zonePattern, most: maxName + 1, example: exampleDNS().Zone,
					doc: "The zone on that server that holds the domain.",
					get: func(s cluster.Spec) string { return s.DNS.RFC2136.Zone },
					set: func(s *cluster.Spec, v string) (err error) {
						s.DNS.RFC2136.Zone, err = checkDomain(v)
						return err
					}},
				{name: "keyFile", required: true, isFile: true, example: exampleDNS().KeyFile,
					doc: "File with the TSIG key, as BIND's tsig-keygen writes it. A relative path starts at the folder of this file.",
					get: func(s cluster.Spec) string { return s.DNS.RFC2136.KeyFile },
					set: func(s *cluster.Spec, v string) error { s.DNS.RFC2136.KeyFile = v; return checkPath(v) }},
			}},
		{name: "cloudflare", kind: group, doc: "A zone at Cloudflare.", keys: cloudflareKeys(),
			pick:   func(s *cluster.Spec) { s.DNS = cluster.DNSSpec{Cloudflare: &cluster.CloudflareDNS{}} },
			picked: func(s cluster.Spec) bool { return s.DNS.Cloudflare != nil }},
		{name: "route53", kind: group, keys: route53Keys(),
			doc:    "A hosted zone in Amazon Route 53. The credentials are those of every AWS tool: the environment, ~/.aws, or the role of this machine.",
			pick:   func(s *cluster.Spec) { s.DNS = cluster.DNSSpec{Route53: &cluster.Route53DNS{}} },
			picked: func(s cluster.Spec) bool { return s.DNS.Route53 != nil }},
	}
}

func cloudflareKeys() []key {
	return []key{
		{name: "zone", pattern: zonePattern, most: maxName + 1, example: exampleCloudflare().Zone,
			doc: "The zone that holds the domain; if it is not given, the nearest one at or above the domain that the token sees.",
			get: func(s cluster.Spec) string { return s.DNS.Cloudflare.Zone },
			set: func(s *cluster.Spec, v string) (err error) {
				s.DNS.Cloudflare.Zone, err = checkDomain(v)
				return err
			}},
		{name: "tokenFile", isFile: true, example: exampleCloudflare().TokenFile,
			doc: "File with an API token that may edit the zone's records, and nothing else. A relative path starts at the folder of this file. If it is not given, the token is in the environment, in CLOUDFLARE_API_TOKEN.",
			get: func(s cluster.Spec) string { return s.DNS.Cloudflare.TokenFile },
			set: func(s *cluster.Spec, v string) error { s.DNS.Cloudflare.TokenFile = v; return checkPath(v) }},
		{name: "endpoint", hidden: true, pattern: `^https?://`, example: "https://api.cloudflare.com/client/v4",
			doc: "For tests: where the API is.",
			get: func(s cluster.Spec) string { return s.DNS.Cloudflare.Endpoint },
			set: func(s *cluster.Spec, v string) error { s.DNS.Cloudflare.Endpoint = v; return cluster.CheckEndpoint(v) }},
	}
}

func route53Keys() []key {
	return []key{
		{name: "zone", pattern: zonePattern, most: maxName + 1, example: exampleRoute53().Zone,
			doc: "The zone that holds the domain; if it is not given, the nearest one at or above the domain in the account.",
			get: func(s cluster.Spec) string { return s.DNS.Route53.Zone },
			set: func(s *cluster.Spec, v string) (err error) {
				s.DNS.Route53.Zone, err = checkDomain(v)
				return err
			}},
		key{name: "zoneID", pattern: zoneIDPattern, most: maxZoneID, example: exampleRoute53().ZoneID,
			doc: "The zone's ID, where the account has several zones of one name, such as a public and a private one."}.
			text(func(s cluster.Spec) *string { return &s.DNS.Route53.ZoneID }, checkZoneID),
		key{name: "region", pattern: regionPattern, example: "cn-north-1",
			doc: "Which of Amazon's clouds, by any region of it. Route 53 is one service for all regions of the public cloud, and it need not be given there."}.
			text(func(s cluster.Spec) *string { return &s.DNS.Route53.Region }, checkRegion),
		key{name: "profile", pattern: awsProfilePattern, most: maxProfile, example: "etcd",
			doc: "The profile of ~/.aws whose credentials are used; if it is not given, AWS_PROFILE and the rest of the environment say."}.
			text(func(s cluster.Spec) *string { return &s.DNS.Route53.Profile }, checkAWSProfile),
		{name: "endpoint", hidden: true, pattern: `^https?://`, example: "https://route53.amazonaws.com",
			doc: "For tests: where the API is.",
			get: func(s cluster.Spec) string { return s.DNS.Route53.Endpoint },
			set: func(s *cluster.Spec, v string) error { s.DNS.Route53.Endpoint = v; return cluster.CheckEndpoint(v) }},
	}
}

// names of keys that are not hidden, in order.
func names(keys []key) []string {
	var out []string
	for _, k := range keys {
		if !k.hidden {
			out = append(out, k.name)
		}
	}
	return out
}

// find is the key of a name.
func find(keys []key, name string) (key, bool) {
	for _, k := range keys {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

// shown is the example of a key as it stands behind it on one line.
func (k key) shown() string {
	switch {
	case k.kind == list && !k.single:
		return "[" + k.example + "]"
	case k.kind == group && len(k.keys) > 0:
		return "{" + k.keys[0].name + ": " + k.keys[0].shown() + "}"
	}
	return k.example
}

// wanted says what may stand behind the key of a list.
func (k key) wanted() string {
	if k.single {
		return "one name or a list, such as " + k.example
	}
	return "a list, such as " + k.shown()
}

// text is the key of a word that is kept as it is written. of says where in a spec,
// and is called only where that is.
func (k key) text(of func(s cluster.Spec) *string, check func(v string) error) key {
	k.get = func(s cluster.Spec) string { return *of(s) }
	k.set = func(s *cluster.Spec, v string) error { *of(*s) = v; return check(v) }
	return k
}

// texts is the key of a list of such words.
func (k key) texts(of func(s cluster.Spec) *[]string, check func(v string) error) key {
	k.items = func(s cluster.Spec) []string { return *of(s) }
	k.item = func(v string) (string, error) { return v, check(v) }
	k.put = func(s *cluster.Spec, items []string) { *of(*s) = items }
	return k
}

// takes says whether a text could be meant by a word or an item of a list, as
// far as that can be told without a spec.
func (k key) takes(v string) bool {
	if k.item != nil {
		_, err := k.item(v)
		return err == nil
	}
	return regexp.MustCompile(k.pattern).MatchString(v)
}

// home is where a key or an option of etcd belongs that was found in the wrong
// place: its path without itself, or "" if it is known nowhere.
func home(keys []key, name string) string {
	for _, k := range keys {
		if k.kind == options && slices.Contains(option.Names(), name) {
			return k.name
		}
		for _, sub := range k.keys {
			if sub.name == name {
				return k.name
			}
		}
		if below := home(k.keys, name); below != "" {
			return k.name + "." + below
		}
	}
	return ""
}
