package cloudflare_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare/cloudflaretest"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/dnstest"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rr"
)

const (
	zone   = "twindb.com"
	domain = "c1." + zone
	secret = "v1dQ3mXh7sYb2KpLw9ZtRf4NcJg6AeUo8TiBqxSH"
)

// start is a fake with one zone, and a token for it.
func start(t *testing.T) *cloudflaretest.Fake {
	t.Helper()
	f := cloudflaretest.New(t)
	f.AddZone(cloudflaretest.Zone{Name: zone})
	f.Allow(secret, zone, cloudflaretest.EditRecords)
	return f
}

func token(t testing.TB, text string) cloudflare.Token {
	t.Helper()
	out, err := cloudflare.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func client(t testing.TB, f *cloudflaretest.Fake, edit ...func(*cloudflare.Config)) *cloudflare.Provider {
	t.Helper()
	c := cloudflare.Config{Domain: domain, Zone: zone, Token: token(t, secret), Endpoint: f.URL, Source: "/etc/pleiad/cloudflare", Comment: "etcd cluster c1", Timeout: 20 * time.Second}
	for _, e := range edit {
		e(&c)
	}
	p, err := cloudflare.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func withToken(t testing.TB, text string) func(*cloudflare.Config) {
	return func(c *cloudflare.Config) { c.Token = token(t, text) }
}

// foreign writes records as somebody would in the dashboard, letters as given.
func foreign(t testing.TB, f *cloudflaretest.Fake) func(cluster.RecordSet) {
	return func(set cluster.RecordSet) {
		t.Helper()
		for _, v := range set.Values {
			f.Put(zone, record(t, set, v))
		}
	}
}

func record(t testing.TB, set cluster.RecordSet, value string) cloudflaretest.Record {
	t.Helper()
	r := cloudflaretest.Record{Type: string(set.Type), Name: set.Name, TTL: int(set.TTL), Content: value}
	switch set.Type {
	case cluster.TXT:
		r.Content = rr.Quote(value)
	case cluster.SRV:
		r.Content, r.Data = "", service(t, value)
	}
	return r
}

func TestConformance(t *testing.T) {
	dnstest.Run(t, func(t *testing.T) dnstest.Harness {
		f := start(t)
		f.Allow("reads", zone, cloudflaretest.ReadRecords)
		f.Allow("sees", zone, cloudflaretest.ReadZone)
		f.Allow("elsewhere", "", 0)
		return dnstest.Harness{
			Zone:   client(t, f),
			Domain: domain,
			Rival:  client(t, f),
			Denied: map[string]dns.Zone{
				"an unknown token":           client(t, f, withToken(t, "nobody")),
				"a token for another zone":   client(t, f, withToken(t, "elsewhere")),
				"a token without records":    client(t, f, withToken(t, "sees")),
				"a token that may only read": client(t, f, withToken(t, "reads")),
			},
			Foreign:     foreign(t, f),
			LoseAnswer:  f.LoseAnswer,
			LoseRequest: f.LoseRequest,
			Stall:       f.Stall,
			Down:        f.Down,
		}
	})
}

// service is SRV data in the letters that it was given in.
func service(t testing.TB, value string) *cloudflaretest.Service {
	t.Helper()
	var s cloudflaretest.Service
	if _, err := fmt.Sscan(value, &s.Priority, &s.Weight, &s.Port, &s.Target); err != nil {
		t.Fatal(err)
	}
	s.Target = strings.TrimSuffix(s.Target, ".")
	return &s
}
