// Package spec is the first of the five stages: it turns what a person wrote,
// pleiad.yaml or flags, into what is wanted, a cluster.Spec. Later stages do
// not check a spec again; what comes out of here can be built.
//
// [FromFlags] first: it decides between file and flags. [Parse] reads a file,
// [Flags.Apply] changes a spec as flags say, [Encode] writes a spec so that
// Parse reads the same again, [Template] writes one for people to edit, and
// [Schema] describes the file to editors. All of them work from one table of
// keys (keys.go), so that what is accepted, written and documented is the same.
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
	"strings"

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
		Deliver: "local",
	}
}

// Parse reads a spec file. The file says it all: cluster and domain must be in
// it, and what it leaves out is as [Default] says. filename is for messages,
// and relative paths in the file start at its folder.
func Parse(filename string, data []byte) (cluster.Spec, error) {
	r := &reader{file: filename, at: map[string]place{}}
	s := Default()
	s.Cluster, s.Domain = "", "" // no file is about a cluster that it does not name
	if root := r.document(data); root != nil {
		r.group(key{keys: keys()}, root, &s)
		for _, c := range together(s) {
			r.clash(c)
		}
	}
	if err := report(r.problems); err != nil {
		return cluster.Spec{}, err
	}
	return s, nil
}

// together finds what is wrong with values that are right each by itself.
func together(s cluster.Spec) []clash {
	var found []clash
	if s.Domain != "" {
		if name := longestName(s); len(name) > maxName {
			found = append(found, clash{path: "domain", value: s.Domain, err: fmt.Errorf(
				"too long by %d characters for record names such as %s; expected names of at most %d", len(name)-maxName, display(name), maxName)})
		}
	}
	if r := s.DNS.RFC2136; r != nil && r.Zone != "" && s.Domain != "" && s.Domain != r.Zone && !strings.HasSuffix(s.Domain, "."+r.Zone) {
		found = append(found, clash{path: "dns.rfc2136.zone", value: r.Zone, err: fmt.Errorf(
			"does not hold the domain %s; expected %s or a zone above it", s.Domain, s.Domain)})
	}
	if name, err := checkOptions(s.Etcd.Options); err != nil {
		found = append(found, clash{path: "etcd.options." + name, value: s.Etcd.Options[name], err: err})
	}
	return found
}

// clash is a value that does not go with another one.
type clash struct {
	path, value string
	err         error
}
