package cluster

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Spec is what is wanted: one cluster, as the user wrote it in pleiad.yaml or
// with flags. Package spec makes it and vouches for it; later stages do not
// check it again.
type Spec struct {
	// Cluster is the name of the cluster, a DNS label. Default "dev".
	Cluster Name
	// Domain is the discovery domain, the value of etcd's --discovery-srv:
	// lower case, no trailing dot. Default "dev.test".
	Domain string
	// DiscoveryName lets several clusters share a domain (etcd's
	// --discovery-srv-name); empty for none.
	DiscoveryName string
	// Members is the number of voters wanted: 1, 3, 5, 7 or 9.
	Members int
	// TLS is off only when the user said so.
	TLS bool
	// Etcd is what runs.
	Etcd Etcd
	// Hosts is where it runs.
	Hosts HostsSpec
	// DNS is where the one list of members is written.
	DNS DNSSpec
	// Chef says how Chef installs on machines; nil where pleiad does.
	Chef *Chef
}

// Chef is how a run of Chef, or of Cinc, lays down what pleiad delivers.
type Chef struct {
	// Way is "local", a run on the machine without a server, or "server", through
	// the Chef server that knife knows.
	Way string
	// Client is the command on machines; empty for cinc-client.
	Client string
	// RunList is what is run: "recipe[etcd-server]" if it is empty.
	RunList string
	// Prefix stands before a member's name in that of its node.
	Prefix string
	// What follows is for the way "server" alone. Product is what knife bootstrap
	// installs, "cinc" if it is empty, and InstallURL where the script for that
	// is; empty for knife's own.
	Product    string
	InstallURL string
	// PolicyName and PolicyGroup take the place of a run list.
	PolicyName  string
	PolicyGroup string
	// KnifeConfig is the path of knife's configuration; empty for its own.
	KnifeConfig string
}

// Command is the client's on machines.
func (c Chef) Command() string {
	if c.Client == "" {
		return "cinc-client"
	}
	return c.Client
}

// Etcd is the etcd that is wanted.
type Etcd struct {
	// Source is "bundled", the etcd server inside the pleiad binary, or
	// "release", an official one.
	Source string
	// Release is which one; nil unless Source is "release".
	Release *EtcdRelease
	// Options are etcd flags without their dashes, checked against the flags
	// of the bundled etcd; values as etcd parses them.
	Options map[string]string
}

// EtcdRelease is an official release of etcd, as its project publishes it:
// BaseURL/vVERSION/etcd-vVERSION-linux-ARCH.tar.gz.
type EtcdRelease struct {
	// Version is without "v": "3.7.3".
	Version string
	// BaseURL is without a final slash.
	BaseURL string
	// SHA256 is the digest of the tarball, in hexadecimal, by architecture as
	// Go names it.
	SHA256 map[string]string
}

// ElectionTimeout is that of the members: how long one waits for a leader before it
// wants to be one (etcd server/embed/config.go, ElectionMs).
func (s Spec) ElectionTimeout() time.Duration {
	ms, err := strconv.Atoi(s.Etcd.Options["election-timeout"])
	if err != nil {
		ms = 1000
	}
	return time.Duration(ms) * time.Millisecond
}

// HostsSpec names the one provider of hosts; exactly one field is set.
type HostsSpec struct {
	Local *LocalHosts
	SSH   *SSHHosts
	EC2   *EC2Hosts
}

// SSHHosts are machines that somebody set up, reached over SSH. What is empty
// is as ssh itself would have it, from ~/.ssh/config and its defaults.
type SSHHosts struct {
	// Addresses are those of the machines, for SSH and for etcd alike; one
	// member runs on each, as many as the cluster has.
	Addresses []netip.Addr
	// User is root, or may become root by sudo without a password.
	User string
	Port uint16
	// IdentityFile and KnownHosts are paths; "~" begins at the home directory.
	IdentityFile string
	KnownHosts   string
	// Fingerprints are host keys to accept beside those of KnownHosts, as
	// ssh-keygen -l prints them: "SHA256:...".
	Fingerprints []string
	// DataDevice is a block device on every machine that becomes the volume of
	// etcd's data; empty for none. It must be blank.
	DataDevice string
	// Binaries are paths of pleiad for other architectures than this one, by
	// their Go names.
	Binaries map[string]string
}

// EC2Hosts are instances in Amazon EC2 that pleiad launches itself, one a member.
// Members listen at their private addresses.
type EC2Hosts struct {
	// Region is where they are: "eu-central-1".
	Region string
	// Image is the AMI that new instances get: "ami-…".
	Image string
	// InstanceTypes are tried in order, where a zone has no room for the first.
	InstanceTypes []string
	// Subnets are where instances go, spread evenly, in different zones if the
	// cluster is to survive the loss of one.
	Subnets []string
	// SecurityGroups are those of all instances.
	SecurityGroups []string
	// KeyName is the EC2 key pair whose public key the image's user accepts.
	KeyName string
	// Profile is the IAM instance profile; empty for none.
	Profile string
	// Volume is the size in GiB of the volume that an instance boots from and has its
	// member's data on; 0 for that of the image.
	Volume int
	// Login is "private" or "public": at which address instances are reached over
	// SSH.
	Login string
	// User, Port, IdentityFile and Jump are for SSH; see [SSHHosts]. Jump is as in
	// ssh's ProxyJump.
	User         string
	Port         uint16
	IdentityFile string
	Jump         string
	// Binaries are as those of [SSHHosts].
	Binaries map[string]string
	// Endpoint is where the API is; empty for Amazon's own.
	Endpoint string
}

// LocalHosts are processes on this machine, each in a folder of its own.
type LocalHosts struct{}

// DNSSpec names the one DNS provider; exactly one field is set.
type DNSSpec struct {
	Embedded   *EmbeddedDNS
	RFC2136    *RFC2136DNS
	Cloudflare *CloudflareDNS
	Route53    *Route53DNS
}

// EmbeddedDNS is pleiad's own name server, a process on this machine that is
// authoritative for the discovery domain.
type EmbeddedDNS struct{}

// RFC2136DNS is any name server that takes dynamic updates signed with TSIG.
type RFC2136DNS struct {
	// Server is host or host:port of the primary; port 53 by default.
	Server string
	// Zone is the zone that holds the domain, without trailing dot.
	Zone string
	// KeyFile holds the TSIG key in the format of BIND's tsig-keygen.
	KeyFile string
}

// CloudflareDNS is a zone at Cloudflare.
type CloudflareDNS struct {
	// Zone is the zone that holds the domain, without trailing dot; empty for the
	// nearest one at or above it.
	Zone string
	// TokenFile holds an API token that may edit the zone's records; empty for
	// that of the environment.
	TokenFile string
	// Endpoint is where the API is; empty for Cloudflare's own.
	Endpoint string
}

// Route53DNS is a hosted zone in Amazon Route 53.
type Route53DNS struct {
	// Zone is the zone that holds the domain, without trailing dot; empty for the
	// nearest one at or above it.
	Zone string
	// ZoneID is its ID, where several zones have one name; empty to find it by name.
	ZoneID string
	// Region says which of Amazon's clouds, by any region of it; empty for the public
	// one.
	Region string
	// Profile is the one of AWS's configuration whose credentials are used; empty for
	// those that AWS's tools find.
	Profile string
	// Endpoint is where the API is; empty for Amazon's own.
	Endpoint string
}

// CheckEndpoint says why a URL must not be sent a token: it is neither encrypted, nor
// stays on this machine.
func CheckEndpoint(text string) error {
	const want = "expected https://HOST/PATH"
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("not a plain URL; " + want)
	}
	if u.Scheme == "https" {
		return nil
	}
	if addr, err := netip.ParseAddr(u.Hostname()); u.Scheme == "http" && err == nil && addr.IsLoopback() {
		return nil
	}
	return errors.New("not encrypted; " + want + ", or http to a loopback address")
}

// Address is host:port of the server, with DNS's own port unless it names one.
func (d RFC2136DNS) Address() string {
	if ip, err := netip.ParseAddr(d.Server); err == nil {
		return netip.AddrPortFrom(ip, 53).String()
	}
	if strings.Contains(d.Server, ":") {
		return d.Server
	}
	return d.Server + ":53"
}

// Ports are where one member listens; etcd's registered ones by default.
type Ports struct {
	Peer    uint16 `json:"peer"`
	Client  uint16 `json:"client"`
	Metrics uint16 `json:"metrics"`
}

// StandardPorts are etcd's: IANA registered 2379 and 2380, and 2381 by custom.
func StandardPorts() Ports { return Ports{Peer: 2380, Client: 2379, Metrics: 2381} }

// Scheme is the URL scheme of peers and clients.
func (s Spec) Scheme() string {
	if s.TLS {
		return "https"
	}
	return "http"
}

// ServerService is the owner name of the SRV record set that etcd reads with
// --discovery-srv, lower case, with trailing dot
// (etcd server/embed/config.go, GetDNSClusterNames).
func (s Spec) ServerService() string { return s.service("server", s.TLS) }

// ClientService is the owner name of the SRV record set that etcd clients
// read (etcd client/pkg/srv/srv.go, GetClient).
func (s Spec) ClientService() string { return s.service("client", s.TLS) }

// RivalServices are the SRV names of the other scheme. Exactly one scheme may
// exist: etcd reads both and mixes them into a wrong cluster.
func (s Spec) RivalServices() []string {
	return []string{s.service("server", !s.TLS), s.service("client", !s.TLS)}
}

func (s Spec) service(role string, tls bool) string {
	name := "_etcd-" + role
	if tls {
		name += "-ssl"
	}
	if s.DiscoveryName != "" {
		name += "-" + s.DiscoveryName
	}
	return name + "._tcp." + s.Domain + "."
}

// MarkerName is the owner name of the marker, with trailing dot.
func (s Spec) MarkerName() string {
	if s.DiscoveryName != "" {
		return "_pleiad-" + s.DiscoveryName + "." + s.Domain + "."
	}
	return "_pleiad." + s.Domain + "."
}

// HostName is the host name of a member in DNS, without trailing dot.
func (s Spec) HostName(m MemberName) string { return string(m) + "." + s.Domain }

// Which provider a spec names is asked here and where worlds are opened, and
// nowhere else: what follows from it has a name.

// OnMachines says that members run on machines of their own, which have
// addresses, resolvers, clocks and disks of their own; otherwise all run on this
// one.
func (s Spec) OnMachines() bool { return s.Hosts.Local == nil }

// MakesMachines says that the machines are made at will, for this cluster alone.
func (s Spec) MakesMachines() bool { return s.OnMachines() && s.Hosts.SSH == nil }

// Machines are the addresses of the machines that the user gave; nil if none were.
func (s Spec) Machines() []netip.Addr {
	if s.Hosts.SSH == nil {
		return nil
	}
	return s.Hosts.SSH.Addresses
}

// Login is the command by which a person reaches a machine as pleiad does, word by
// word. What the spec leaves out is left to ssh. ssh itself expands "~" in both
// files, and takes the second for several where a blank is not in quotes.
func (s Spec) Login(machine netip.Addr) []string {
	words := []string{"ssh"}
	h := s.login()
	if h.Port != 0 {
		words = append(words, "-p", strconv.Itoa(int(h.Port)))
	}
	if h.IdentityFile != "" {
		words = append(words, "-i", h.IdentityFile)
	}
	if s.Hosts.EC2 != nil && s.Hosts.EC2.Jump != "" {
		words = append(words, "-J", s.Hosts.EC2.Jump)
	}
	if file := h.KnownHosts; file != "" {
		if strings.Contains(file, " ") {
			file = `"` + file + `"`
		}
		words = append(words, "-o", "UserKnownHostsFile="+file)
	}
	if h.User != "" {
		return append(words, h.User+"@"+machine.String())
	}
	return append(words, machine.String())
}

// login is how machines are logged in to.
func (s Spec) login() SSHHosts {
	switch {
	case s.Hosts.SSH != nil:
		return *s.Hosts.SSH
	case s.Hosts.EC2 != nil:
		return SSHHosts{User: s.Hosts.EC2.User, Port: s.Hosts.EC2.Port, IdentityFile: s.Hosts.EC2.IdentityFile}
	}
	return SSHHosts{}
}

// LoginAsRoot is [Spec.Login] for a command that root must run. Who logs in where
// the spec names nobody is up to ssh, so sudo is left out for root alone.
func (s Spec) LoginAsRoot(machine netip.Addr) []string {
	words := s.Login(machine)
	if s.login().User == "root" {
		return words
	}
	return append(words, "sudo", "-n")
}

// DataDevice is the block device that holds each member's data; empty for none.
func (s Spec) DataDevice() string {
	if s.Hosts.SSH == nil {
		return ""
	}
	return s.Hosts.SSH.DataDevice
}

// HostsKind is the kind of hosts, as a spec names it.
func (s Spec) HostsKind() string {
	switch {
	case s.Hosts.SSH != nil:
		return "ssh"
	case s.Hosts.EC2 != nil:
		return "ec2"
	}
	return "local"
}

// Region is where in a cloud the hosts are; empty outside of one.
func (s Spec) Region() string {
	if s.Hosts.EC2 == nil {
		return ""
	}
	return s.Hosts.EC2.Region
}

// DNSKind is the kind of name server, as a spec names it.
func (s Spec) DNSKind() string {
	switch {
	case s.DNS.RFC2136 != nil:
		return "rfc2136"
	case s.DNS.Cloudflare != nil:
		return "cloudflare"
	case s.DNS.Route53 != nil:
		return "route53"
	}
	return "embedded"
}

// ServesZone says that the name server is pleiad's own, on this machine.
func (s Spec) ServesZone() bool { return s.DNS.Embedded != nil }

// Primary is the name server that takes updates, as the user names it; empty for
// pleiad's own.
func (s Spec) Primary() string {
	switch {
	case s.DNS.RFC2136 != nil:
		return s.DNS.RFC2136.Server
	case s.DNS.Cloudflare != nil:
		return "Cloudflare"
	case s.DNS.Route53 != nil:
		return "Route 53"
	}
	return ""
}

// ZoneKeyFile holds the key or token that may update the zone; empty where none is
// needed, or where it is in the environment.
func (s Spec) ZoneKeyFile() string {
	switch {
	case s.DNS.RFC2136 != nil:
		return s.DNS.RFC2136.KeyFile
	case s.DNS.Cloudflare != nil:
		return s.DNS.Cloudflare.TokenFile
	}
	return ""
}

// ByIAM says that rights in the zone are granted name by name, to credentials of AWS, which no
// spec holds.
func (s Spec) ByIAM() bool { return s.DNS.Route53 != nil }

// Resolver is host:port of the name server that members are given, own being
// pleiad's; empty where they use the resolver of their machine.
func (s Spec) Resolver(own NameServer) string {
	switch {
	case s.OnMachines(), s.DNS.Cloudflare != nil, s.DNS.Route53 != nil:
		return ""
	case s.DNS.RFC2136 != nil:
		return s.DNS.RFC2136.Address()
	}
	return own.Address
}

// Zone is the zone that holds the records, without trailing dot; the domain where
// the zone is left to be found (see [Spec.FindsZone]).
func (s Spec) Zone() string {
	switch {
	case s.DNS.RFC2136 != nil:
		return s.DNS.RFC2136.Zone
	case s.DNS.Cloudflare != nil && s.DNS.Cloudflare.Zone != "":
		return s.DNS.Cloudflare.Zone
	case s.DNS.Route53 != nil && s.DNS.Route53.Zone != "":
		return s.DNS.Route53.Zone
	}
	return s.Domain
}

// FindsZone says that nobody but the provider knows which zone holds the domain.
func (s Spec) FindsZone() bool {
	return s.DNS.Cloudflare != nil && s.DNS.Cloudflare.Zone == "" || s.DNS.Route53 != nil && s.DNS.Route53.Zone == ""
}

// InZone is the spec with a zone that was found.
func (s Spec) InZone(zone string) Spec {
	switch {
	case !s.FindsZone():
	case s.DNS.Cloudflare != nil:
		c := *s.DNS.Cloudflare
		c.Zone = zone
		s.DNS.Cloudflare = &c
	default:
		r := *s.DNS.Route53
		r.Zone = zone
		s.DNS.Route53 = &r
	}
	return s
}

// SeatZone is the zone as it belongs to where a cluster lives: where it may be left
// out, to name it later changes nothing.
func (s Spec) SeatZone() string {
	if s.DNS.Cloudflare != nil || s.DNS.Route53 != nil {
		return s.Domain
	}
	return s.Zone()
}

// PeerURL is the peer URL of a member as etcd derives it from an SRV record;
// it enters the member ID.
func (s Spec) PeerURL(m MemberName, port uint16) string {
	return fmt.Sprintf("%s://%s:%d", s.Scheme(), s.HostName(m), port)
}

// ClientURL is the URL a client uses for a member.
func (s Spec) ClientURL(m MemberName, port uint16) string {
	return fmt.Sprintf("%s://%s:%d", s.Scheme(), s.HostName(m), port)
}

// HostRecord is the address record set of a member.
func (s Spec) HostRecord(m MemberName, addr netip.Addr) RecordSet {
	kind := A
	if addr.Is6() {
		kind = AAAA
	}
	return NewRecordSet(s.HostName(m)+".", kind, addr.String())
}

// MemberOf is the member whose host name an SRV target is, and whether it is
// one under this domain at all.
func (s Spec) MemberOf(target string) (MemberName, bool) {
	label, ok := strings.CutSuffix(strings.ToLower(target), "."+s.Domain+".")
	if !ok || label == "" || strings.Contains(label, ".") {
		return "", false
	}
	return MemberName(label), true
}
