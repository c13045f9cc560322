package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

func atCloudflare(g dns.Grants, err error) Subject {
	s := foreign(&zone{})
	s.Spec.DNS = cluster.DNSSpec{Cloudflare: &cluster.CloudflareDNS{}}
	s.Try = nil
	s.Grants = func(context.Context) (dns.Grants, error) { return g, err }
	s.FindZone = func(context.Context) (string, error) { return "test", err }
	return s
}

func TestTokenFile(t *testing.T) {
	s := atCloudflare(dns.Grants{}, nil)
	want(t, tokenFile(t.Context(), s), render.Fine, "environment")
	s.Spec.DNS.Cloudflare.TokenFile = filepath.Join(t.TempDir(), "token")
	f := tokenFile(t.Context(), s)
	want(t, f, render.Broken, "token")
	if f.Remedy != "put the token there, or name another dns.cloudflare.tokenFile" {
		t.Errorf("%q", f.Remedy)
	}
	if err := os.WriteFile(s.Spec.DNS.Cloudflare.TokenFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, tokenFile(t.Context(), s), render.Fine, "has mode 0600")
}

func TestTokenRights(t *testing.T) {
	find := func(g dns.Grants, err error) []render.Finding { return tokenRights(t.Context(), atCloudflare(g, err)) }
	found := find(dns.Grants{Zone: "test"}, nil)
	want(t, found[0], render.Fine, "may edit the records of zone test")
	want(t, found[1], render.Fine, "zone test alone")
	found = find(dns.Grants{Zone: "test", Others: strings.Fields("a b c d e f g"), Excess: []string{"#zone:edit"}}, nil)
	want(t, found[0], render.Fine, "may edit")
	want(t, found[1], render.Warning, "other zones too: a, b, c, d, e and 2 more; it may do more with zone test: #zone:edit")
	// Whoever makes such a token has nothing more to hear.
	if !strings.Contains(found[1].Remedy, `make a token for zone test alone, with "Zone, DNS, Edit" and "Zone, Zone, Read"`) {
		t.Errorf("%q", found[1].Remedy)
	}
	found = find(dns.Grants{}, fault.WithRemedy(dns.ErrDenied, "do this"))
	want(t, found[0], render.Broken, "refused")
	if len(found) != 1 || found[0].Remedy != "do this" {
		t.Errorf("%+v", found)
	}
	want(t, find(dns.Grants{}, dns.ErrUnreachable)[0], render.Broken, "unknown: ")
}

// No resolver is asked for a name of ours, whether the zone is found or not.
func TestNobodyIsAskedForOurNames(t *testing.T) {
	s := located(t.Context(), atCloudflare(dns.Grants{}, nil))
	if got := asked(s); got != "test." {
		t.Errorf("machines are asked for %q", got)
	}
	s = located(t.Context(), atCloudflare(dns.Grants{}, errors.New("odd")))
	if got := asked(s); got != "." {
		t.Errorf("machines are asked for %q", got)
	}
	want(t, judgeResolver(s, agent.Machine{}), render.Warning, "unknown")
}
