package cluster

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// What follows from the providers of a spec, for each pair of them.
func TestFactsFollowFromProviders(t *testing.T) {
	machine := netip.MustParseAddr("192.0.2.1")
	local := HostsSpec{Local: &LocalHosts{}}
	ssh := HostsSpec{SSH: &SSHHosts{Addresses: []netip.Addr{machine}, DataDevice: "/dev/vdb"}}
	ec2 := HostsSpec{EC2: &EC2Hosts{Region: "eu-central-1"}}
	embedded := DNSSpec{Embedded: &EmbeddedDNS{}}
	rfc2136 := DNSSpec{RFC2136: &RFC2136DNS{Server: "ns1.test", Zone: "test", KeyFile: "/etc/key"}}
	found := DNSSpec{Cloudflare: &CloudflareDNS{}}
	cloudflare := DNSSpec{Cloudflare: &CloudflareDNS{Zone: "test", TokenFile: "/etc/token"}}
	route53 := DNSSpec{Route53: &Route53DNS{Zone: "test", Profile: "etcd"}}
	type facts struct {
		hosts, region, dns, device, primary, key, resolver, zone, seat string
		machines, serves                                               bool
	}
	for _, tt := range []struct {
		hosts HostsSpec
		dns   DNSSpec
		want  facts
	}{
		{local, embedded, facts{hosts: "local", dns: "embedded", resolver: "127.0.0.9:53", zone: "dev.test", seat: "dev.test", serves: true}},
		{local, rfc2136, facts{hosts: "local", dns: "rfc2136", primary: "ns1.test", key: "/etc/key", resolver: "ns1.test:53", zone: "test", seat: "test"}},
		{ssh, rfc2136, facts{hosts: "ssh", dns: "rfc2136", device: "/dev/vdb", primary: "ns1.test", key: "/etc/key", zone: "test", seat: "test", machines: true}},
		{local, found, facts{hosts: "local", dns: "cloudflare", primary: "Cloudflare", zone: "dev.test", seat: "dev.test"}},
		{ssh, cloudflare, facts{hosts: "ssh", dns: "cloudflare", device: "/dev/vdb", primary: "Cloudflare", key: "/etc/token", zone: "test", seat: "dev.test", machines: true}},
		{local, DNSSpec{Route53: &Route53DNS{}}, facts{hosts: "local", dns: "route53", primary: "Route 53", zone: "dev.test", seat: "dev.test"}},
		{ec2, route53, facts{hosts: "ec2", region: "eu-central-1", dns: "route53", primary: "Route 53", zone: "test", seat: "dev.test", machines: true}},
		{ec2, cloudflare, facts{hosts: "ec2", region: "eu-central-1", dns: "cloudflare", primary: "Cloudflare", key: "/etc/token", zone: "test", seat: "dev.test", machines: true}},
	} {
		s := Spec{Domain: "dev.test", Hosts: tt.hosts, DNS: tt.dns}
		got := facts{s.HostsKind(), s.Region(), s.DNSKind(), s.DataDevice(), s.Primary(), s.ZoneKeyFile(), s.Resolver(NameServer{Address: "127.0.0.9:53"}), s.Zone(), s.SeatZone(), s.OnMachines(), s.ServesZone()}
		if got != tt.want {
			t.Errorf("got %+v\nwant %+v", got, tt.want)
		}
		if has := slices.Contains(s.Machines(), machine); has != (tt.want.hosts == "ssh") {
			t.Errorf("%s hosts: the machine is among %v: %v", s.HostsKind(), s.Machines(), has)
		}
	}
}

// A zone that is found is filled in where none was given, in a copy.
func TestZoneIsFound(t *testing.T) {
	s := Spec{Domain: "dev.test", DNS: DNSSpec{Cloudflare: &CloudflareDNS{TokenFile: "/t"}}}
	in := s.InZone("test")
	if !s.FindsZone() || in.FindsZone() || in.Zone() != "test" || in.InZone("other").Zone() != "test" || in.DNS.Cloudflare.TokenFile != "/t" || s.DNS.Cloudflare.Zone != "" {
		t.Errorf("%+v became %+v", s.DNS.Cloudflare, in.DNS.Cloudflare)
	}
	r := Spec{Domain: "dev.test", DNS: DNSSpec{Route53: &Route53DNS{ZoneID: "Z1"}}}
	if in := r.InZone("test"); !r.FindsZone() || in.FindsZone() || in.Zone() != "test" || in.DNS.Route53.ZoneID != "Z1" || r.DNS.Route53.Zone != "" {
		t.Errorf("%+v became %+v", r.DNS.Route53, in.DNS.Route53)
	}
	if e := (Spec{Domain: "dev.test", DNS: DNSSpec{Embedded: &EmbeddedDNS{}}}); e.FindsZone() || e.InZone("test").Zone() != "dev.test" {
		t.Error("the embedded name server finds zones")
	}
}

func TestLogin(t *testing.T) {
	at := netip.MustParseAddr("192.0.2.1")
	for _, tt := range []struct {
		hosts         SSHHosts
		login, asRoot string
	}{
		{SSHHosts{}, "ssh|192.0.2.1", "ssh|192.0.2.1|sudo|-n"},
		{SSHHosts{User: "root"}, "ssh|root@192.0.2.1", "ssh|root@192.0.2.1"},
		{SSHHosts{User: "ops", Port: 2222}, "ssh|-p|2222|ops@192.0.2.1", "ssh|-p|2222|ops@192.0.2.1|sudo|-n"},
		{SSHHosts{User: "root", IdentityFile: "~/my key", KnownHosts: "~/known"},
			"ssh|-i|~/my key|-o|UserKnownHostsFile=~/known|root@192.0.2.1", "ssh|-i|~/my key|-o|UserKnownHostsFile=~/known|root@192.0.2.1"},
		{SSHHosts{User: "root", KnownHosts: "/my hosts"},
			`ssh|-o|UserKnownHostsFile="/my hosts"|root@192.0.2.1`, `ssh|-o|UserKnownHostsFile="/my hosts"|root@192.0.2.1`},
	} {
		s := Spec{Hosts: HostsSpec{SSH: &tt.hosts}}
		if got := strings.Join(s.Login(at), "|"); got != tt.login {
			t.Errorf("%+v: log in by %s, want %s", tt.hosts, got, tt.login)
		}
		if got := strings.Join(s.LoginAsRoot(at), "|"); got != tt.asRoot {
			t.Errorf("%+v: root's command by %s, want %s", tt.hosts, got, tt.asRoot)
		}
	}
}
