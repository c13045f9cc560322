// Package spec is the first of the five stages: it turns what a person wrote,
// pleiad.yaml or flags, into what is wanted, a cluster.Spec. Later stages do
// not check a spec again; what comes out of here can be built.
//
// [FromFlags] first: it decides between file and flags. [Parse] reads a file,
// [Flags.Apply] changes a spec as flags say, [Encode] writes a spec so that
// Parse reads the same again, [Resolve] makes the paths in it absolute before it
// is kept, [Template] writes one for people to edit, and [Schema] describes the
// file to editors. All of them work from one table of keys (keys.go), so that
// what is accepted, written and documented is the same.
//
// Every error is an [*Error] that holds all problems found, in the order of the
// file, each with its place, the source line, and what was expected. A spec
// with a problem is not returned: there are no half-valid specs and no
// warnings.
//
// The package is pure: it opens no files, not even those a spec names.
package spec

import (
	"fmt"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Default is what is wanted when nobody says anything: three members on this
// machine, with TLS, found through pleiad's own name server.
func Default() cluster.Spec {
	return cluster.Spec{
		Cluster: "dev",
		Domain:  "dev.test",
		Members: 3,
		TLS:     true,
		Etcd:    cluster.Etcd{Source: "bundled"},
		Hosts:   cluster.HostsSpec{Local: &cluster.LocalHosts{}},
		DNS:     cluster.DNSSpec{Embedded: &cluster.EmbeddedDNS{}},
	}
}

// exampleDNS has names and addresses that are set aside for documentation
// (RFC 2606, RFC 5737): nobody is hurt if somebody leaves them as they are.
func exampleDNS() cluster.RFC2136DNS {
	return cluster.RFC2136DNS{Server: "192.0.2.53:53", Zone: "example.com", KeyFile: "/etc/pleiad/tsig.key"}
}

func exampleCloudflare() cluster.CloudflareDNS {
	return cluster.CloudflareDNS{Zone: "example.com", TokenFile: "/etc/pleiad/cloudflare.token"}
}

func exampleRoute53() cluster.Route53DNS {
	return cluster.Route53DNS{Zone: "example.com", ZoneID: "Z0123456789ABCDEFGHIJ"}
}

// exampleEC2 has identifiers of the right form that nothing has: one subnet a member,
// each in a zone of its own.
func exampleEC2() cluster.EC2Hosts {
	return cluster.EC2Hosts{
		Region: "eu-central-1", Image: "ami-0123456789abcdef0", InstanceTypes: []string{"m6i.large"},
		Subnets:        []string{"subnet-0aaaaaaaaaaaaaaaa", "subnet-0bbbbbbbbbbbbbbbb", "subnet-0cccccccccccccccc"},
		SecurityGroups: []string{"sg-0123456789abcdef0"}, KeyName: "etcd", Login: usualLogin, User: "admin",
	}
}

// Parse reads a spec file. The file is the whole spec: cluster and domain must be in
// it, and what it leaves out is as [Default] says. filename is for messages,
// and relative paths in the file start at its folder.
func Parse(filename string, data []byte) (cluster.Spec, error) {
	r := &reader{file: filename, at: map[string]place{}, derived: map[string]string{}}
	s := Default()
	s.Cluster, s.Domain = "", "" // no file is about a cluster that it does not name
	// What follows from other keys is settled once those are known.
	s.Etcd.Source, s.Hosts, s.DNS = "", cluster.HostsSpec{}, cluster.DNSSpec{}
	if root := r.document(data); root != nil {
		r.group(key{keys: keys()}, root, &s)
		r.follow(&s)
		for _, c := range append(together(s), ofDelivery(s, r.derived["deliver"])...) {
			r.clash(c)
		}
	}
	if err := report(r.problems); err != nil {
		return cluster.Spec{}, err
	}
	return s, nil
}

// follow fills in what a file leaves out and what follows from the rest of it.
// What it says, but wrongly, stays empty: nothing follows from that.
func (r *reader) follow(s *cluster.Spec) {
	silent := func(path string) bool { _, there := r.at[path]; return !there }
	d := Default()
	if silent("etcd.source") {
		s.Etcd.Source = d.Etcd.Source
	}
	if silent("hosts") {
		s.Hosts = d.Hosts
	}
	switch {
	case !silent("dns"):
	case onMachines(s.Hosts):
		kind := s.HostsKind()
		r.problem(r.at["hosts."+kind], fmt.Sprintf("dns is missing beside %s: without it records are served on this machine alone; "+
			"expected dns: %s, for example", kind, fittingDNS(kind)))
	default:
		s.DNS = d.DNS
	}
}

// delivery is how hosts of a kind get what they must hold; empty if there is no
// kind yet.
func delivery(h cluster.HostsSpec) string {
	switch {
	case h.Local != nil:
		return "local"
	case onMachines(h):
		return "systemd"
	}
	return ""
}
