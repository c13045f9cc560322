package spec

import (
	"fmt"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// clash is a value that does not go with another one; a group or a list has no
// value to show.
type clash struct {
	path, value string
	err         error
}

// together finds what is wrong with values that are right each by itself. What
// was not right is empty, and no clash of its own.
func together(s cluster.Spec) []clash {
	found := append(ofNames(s), ofHosts(s)...)
	if name, err := checkOptions(s.Etcd.Options); err != nil {
		found = append(found, clash{path: "etcd.options." + name, value: s.Etcd.Options[name], err: err})
	}
	return found
}

func ofNames(s cluster.Spec) []clash {
	if s.Domain == "" {
		return nil
	}
	var found []clash
	if name := longestName(s); len(name) > maxName {
		found = append(found, clash{path: "domain", value: s.Domain, err: fmt.Errorf(
			"too long by %d characters for record names such as %s; expected names of at most %d", len(name)-maxName, display(name), maxName)})
	}
	if r := s.DNS.RFC2136; r != nil {
		found = append(found, ofZone(s, "dns.rfc2136.zone", r.Zone)...)
	}
	if c := s.DNS.Cloudflare; c != nil {
		found = append(found, ofZone(s, "dns.cloudflare.zone", c.Zone)...)
	}
	if r := s.DNS.Route53; r != nil {
		found = append(found, ofZone(s, "dns.route53.zone", r.Zone)...)
	}
	return found
}

func ofZone(s cluster.Spec, path, zone string) []clash {
	if zone == "" || s.Domain == zone || strings.HasSuffix(s.Domain, "."+zone) {
		return nil
	}
	return []clash{{path: path, value: zone, err: fmt.Errorf("does not hold the domain %s; expected %s or a zone above it", s.Domain, s.Domain)}}
}

// ofHosts finds what does not go with the kind of hosts.
func ofHosts(s cluster.Spec) []clash {
	var found []clash
	add := func(path, value, format string, args ...any) {
		found = append(found, clash{path: path, value: value, err: fmt.Errorf(format, args...)})
	}
	if ssh := s.Hosts.SSH; ssh != nil {
		if n := len(ssh.Addresses); n > 0 && n < s.Members {
			add("hosts.ssh.addresses", "", "%d for %d members, and a member needs a machine of its own; expected at least %d", n, s.Members, s.Members)
		}
	}
	if s.DNS.Embedded != nil && onMachines(s.Hosts) {
		add("dns.embedded", "", "a name server on this machine alone, which hosts of kind %s do not ask; expected rfc2136, cloudflare or route53", s.HostsKind())
	}
	release := s.Etcd.Release
	switch source := s.Etcd.Source; {
	case source == "release" && s.Hosts.Local != nil:
		add("etcd.source", source, "hosts of kind local run the etcd inside the pleiad binary; expected bundled, or hosts of kind ssh or ec2")
	case source == "release" && release == nil:
		add("etcd.source", source, "release is missing, which names the version; expected release: {version: %s, sha256: …} beside it", releaseKeys()[0].example)
	case source == "bundled" && release != nil:
		add("etcd.release", "", "not used, since the source is bundled; expected source: release, or no release")
	}
	return found
}

// ofDelivery compares what a file says of the delivery with what follows from the
// hosts; said is empty if it says nothing.
func ofDelivery(s cluster.Spec, said string) []clash {
	want := delivery(s.Hosts)
	if want == "" || said == "" || said == want {
		return nil
	}
	if said == "chef" && onMachines(s.Hosts) {
		return ofChef(s)
	}
	if onMachines(s.Hosts) {
		want += " or chef"
	}
	return []clash{{path: "deliver", value: said, err: fmt.Errorf(
		"not for hosts of kind %s; expected %s, or nothing: it follows from the hosts", s.HostsKind(), want)}}
}

// onMachines says that a file names machines. One whose hosts are wrong names none.
func onMachines(h cluster.HostsSpec) bool { return h.SSH != nil || h.EC2 != nil }
