package cloud

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"

	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare/cloudflaretest"
)

// lookalikes puts records of others into the zone, that could be taken for the
// cluster's: in the zone above its domain, in one whose name ends like it, for another
// cluster that shares the domain, and on the domain itself.
func (o *operator) lookalikes() (out []cloudflaretest.Record) {
	marker := `"v=1 cluster=` + cluster + ` owner=b2f8c1de-4c52-4c5f-9d8c-3f0a5b7e6d11 gen=1 token=0123456789abcdef state=sealed"`
	for _, r := range []cloudflaretest.Record{
		{Type: "A", Name: "www." + zone, Content: "192.0.2.80"},
		{Type: "A", Name: "etcd-k3v9qd2." + zone, Content: "192.0.2.81"},
		{Type: "A", Name: "etcd-k3v9qd2.x" + domain, Content: "192.0.2.82"},
		{Type: "A", Name: "etcd-k3v9qd2.sub." + domain, Content: "192.0.2.83"},
		{Type: "A", Name: "etcd." + domain, Content: "192.0.2.84", Proxied: true},
		{Type: "SRV", Name: "_etcd-server-ssl._tcp." + zone, Data: &cloudflaretest.Service{Port: 2380, Target: "etcd-k3v9qd2." + zone}},
		{Type: "SRV", Name: "_etcd-server-ssl-c2._tcp." + domain, Data: &cloudflaretest.Service{Port: 2380, Target: "etcd-k3v9qd2.sub." + domain}},
		{Type: "TXT", Name: "_pleiad." + zone, Content: marker},
		{Type: "TXT", Name: "_pleiad-c2." + domain, Content: marker},
		{Type: "TXT", Name: domain, Content: `"v=spf1 -all"`},
	} {
		r.TTL = 300
		out = append(out, o.zone.Put(zone, r))
	}
	return out
}

// tls names the operator's files.
func (o *operator) tls() transport.TLSInfo {
	pki := filepath.Join(o.folder, "state", cluster, "pki")
	return transport.TLSInfo{TrustedCAFile: filepath.Join(pki, "client-ca.crt"),
		CertFile: filepath.Join(pki, "operator.crt"), KeyFile: filepath.Join(pki, "operator.key")}
}

// found has Debian's etcdctl find so many healthy members through the zone, which
// are all there are.
func (o *operator) found(members int) {
	o.Helper()
	_, services, err := o.bed.Resolver().LookupSRV(o.Context(), "etcd-client-ssl", "tcp", domain)
	if err != nil || len(services) != members {
		o.Errorf("clients are led to %+v, %v, want %d members", services, err, members)
	}
	if n := strings.Count(o.stock("endpoint", "health", "--cluster"), "is healthy"); n != members {
		o.Errorf("etcdctl finds %d healthy members, want %d", n, members)
	}
	if n := strings.Count(o.stock("member", "list"), ", started, "); n != members {
		o.Errorf("etcdctl lists %d members, want %d", n, members)
	}
	if n := len(o.living()); n != members {
		o.Errorf("%d instances, want %d: %+v", n, members, o.living())
	}
}

// stock runs Debian's etcdctl, which knows the domain and the operator's certificate.
func (o *operator) stock(arguments ...string) string {
	o.Helper()
	ctx, cancel := context.WithTimeout(o.Context(), time.Minute)
	defer cancel()
	files := o.tls()
	c := o.bed.Command(ctx, "etcdctl", append([]string{"--discovery-srv", domain, "--insecure-discovery=false",
		"--cacert", files.TrustedCAFile, "--cert", files.CertFile, "--key", files.KeyFile}, arguments...)...)
	c.Env = append(c.Env, "ETCDCTL_API=3")
	out, err := c.CombinedOutput()
	if err != nil {
		o.Errorf("etcdctl %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return string(out)
}
