package route53_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/route53"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/route53/route53fake"
)

const change = "ChangeResourceRecordSets"

// What Route 53 answers, what kind of failure it is, and what is said of it.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		action string
		fault  route53fake.Fault
		kind   error
		pause  bool
		text   string
	}{
		"too many calls":      {change, route53fake.Fault{Code: "Throttling"}, dns.ErrUnreachable, true, "too many calls of this account"},
		"too many, by 503":    {change, route53fake.Fault{Code: "ThrottlingException", Status: 503}, dns.ErrUnreachable, true, "too many calls of this account"},
		"another change":      {change, route53fake.Fault{Code: "PriorRequestNotComplete"}, dns.ErrUnreachable, true, "still works on another change"},
		"too many lists":      {"ListResourceRecordSets", route53fake.Fault{Code: "Throttling"}, dns.ErrUnreachable, true, "too many calls of this account"},
		"no right":            {change, route53fake.Fault{Code: "AccessDenied", Status: 403}, dns.ErrDenied, false, "AccessDenied"},
		"expired":             {change, route53fake.Fault{Code: "ExpiredToken", Status: 403}, dns.ErrDenied, false, "ExpiredToken"},
		"late":                {change, route53fake.Fault{Code: "RequestExpired"}, dns.ErrDenied, false, "RequestExpired"},
		"the zone is gone":    {change, route53fake.Fault{Code: "NoSuchHostedZone", Status: 404}, dns.ErrDenied, false, "NoSuchHostedZone"},
		"nonsense":            {change, route53fake.Fault{Code: "InvalidInput"}, fault.Unsupported, false, "InvalidInput"},
		"broken, not done":    {change, route53fake.Fault{Code: "InternalError", Status: 500}, dns.ErrUnknownOutcome, false, "HTTP status 500"},
		"done, and 502":       {change, route53fake.Fault{StatusAfter: 502}, dns.ErrUnknownOutcome, false, "HTTP status 502"},
		"done, and garbage":   {change, route53fake.Fault{Body: []byte("<html>welcome")}, dns.ErrUnknownOutcome, false, "not XML of the API's form"},
		"done, and nothing":   {change, route53fake.Fault{Body: []byte(`<ChangeResourceRecordSetsResponse/>`)}, dns.ErrUnknownOutcome, false, "names no change"},
		"done, and too much":  {change, route53fake.Fault{Body: make([]byte, 33<<20)}, dns.ErrUnknownOutcome, false, "too long"},
		"a proxy's no":        {change, route53fake.Fault{StatusAfter: 403}, dns.ErrDenied, false, "HTTP 403"},
		"a list broken":       {"ListResourceRecordSets", route53fake.Fault{StatusAfter: 500}, dns.ErrUnreachable, false, "HTTP status 500"},
		"the search refused":  {"ListHostedZonesByName", route53fake.Fault{Code: "AccessDenied", Status: 403}, dns.ErrDenied, false, "AccessDenied"},
		"the search nonsense": {"ListHostedZonesByName", route53fake.Fault{Body: []byte("{}")}, dns.ErrUnreachable, false, "not XML"},
		"an empty list":       {"ListResourceRecordSets", route53fake.Fault{Body: []byte{}}, dns.ErrUnreachable, false, "not XML"},
		"another's list":      {"ListResourceRecordSets", route53fake.Fault{Body: []byte("<html></html>")}, dns.ErrUnreachable, false, "not XML"},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			z := client(t, f)
			f.On(c.action, 1, c.fault)
			_, err := z.Apply(t.Context(), claim("gen=1", 2))
			if !errors.Is(err, c.kind) || (fault.RetryAfter(err) > 0) != c.pause || err == nil || !strings.Contains(err.Error(), c.text) || len(err.Error()) > 700 {
				t.Errorf("%v; pause %s", err, fault.RetryAfter(err))
			}
			if calls := f.Calls()[change]; calls > 1 {
				t.Errorf("it was sent %d times", calls)
			}
			done := c.fault.StatusAfter != 0 || c.fault.Body != nil
			if has := len(f.Sets(zoneID)) > 0; c.action == change && has != done {
				t.Errorf("written: %v", has)
			}
		})
	}
}

// A right that is missing is named, and for what.
func TestMissingRightIsNamed(t *testing.T) {
	for _, action := range []string{"ListHostedZonesByName", "GetHostedZone", "ListResourceRecordSets", change, "GetChange"} {
		f := start(t)
		with := other(f, "AKIDPARTLY", func(c route53fake.Call) bool { return c.Action != action })
		z := client(t, f, with, func(c *route53.Config) {
			if action == "GetHostedZone" {
				c.ID = zoneID
			}
		})
		r, err := z.Apply(t.Context(), claim("gen=1", 1))
		if err == nil {
			err = z.Settled(t.Context(), r)
		}
		if !errors.Is(err, dns.ErrDenied) || !strings.Contains(strings.Join(fault.Remedy(err), "\n"), "the right route53:"+action) {
			t.Errorf("%s: %v, %q", action, err, fault.Remedy(err))
		}
	}
}

// Whoever does as they are told can go on.
func TestRemediesMend(t *testing.T) {
	const elsewhere = "twindb.net"
	type config = route53.Config
	type fake = route53fake.Fake
	broken := errors.New("no route to host")
	for said, c := range map[string]struct {
		broken func(*fake, *config)
		mend   func(*fake, *config)
	}{
		"give AWS credentials as for its own tools": {
			func(_ *fake, c *config) {
				c.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, errors.New("none") })
			},
			func(_ *fake, c *config) { withKey(key())(c) }},
		"see whose the credentials are": {
			func(f *fake, _ *config) { f.Forbid(key().AccessKeyID) },
			func(f *fake, _ *config) { f.Allow(key(), nil) }},
		"the right route53:" + change + " on arn:aws:route53:::hostedzone/" + zoneID: {
			func(f *fake, _ *config) { f.Allow(key(), reads) },
			func(f *fake, _ *config) { f.Allow(key(), nil) }},
		"see which zones the account has": {
			func(_ *fake, c *config) { c.Zone, c.Domain = elsewhere, "c1."+elsewhere },
			func(f *fake, _ *config) { f.AddZone(route53fake.Zone{Name: elsewhere}) }},
		"put that into dns.route53.zone": {
			func(_ *fake, c *config) { c.Zone = domain },
			func(_ *fake, c *config) { c.Zone = zone }},
		"name the one to write in dns.route53.zoneID": {
			func(f *fake, _ *config) { f.AddZone(route53fake.Zone{Name: zone, Private: true}) },
			func(_ *fake, c *config) { c.ID = zoneID }},
		"write the zone's ID into dns.route53.zoneID": {
			func(_ *fake, c *config) { c.ID = "ZNOSUCH" },
			func(_ *fake, c *config) { c.ID = zoneID }},
		"give the cluster a domain of its own": {
			func(f *fake, c *config) {
				f.PageLimit, c.Domain = 1, zone
				for i := range 101 {
					f.Put(zoneID, route53fake.Set{Type: "A", Name: fmt.Sprintf("www%d.%s", i, zone), TTL: 60, Values: []string{"192.0.2.1"}})
				}
			},
			func(f *fake, c *config) { c.Domain = domain }},
		"remove that record set": {
			func(f *fake, _ *config) {
				f.Put(zoneID, route53fake.Set{Type: "CNAME", Name: label(1) + "." + domain, TTL: 60, Values: []string{"a.example.com"}})
			},
			func(f *fake, _ *config) { f.Delete(zoneID, label(1)+"."+domain, "CNAME") }},
		"allow HTTPS from here": {
			func(_ *fake, c *config) {
				c.Transport = transport(func(*http.Request) (*http.Response, error) { return nil, broken })
			},
			func(_ *fake, c *config) { c.Transport = nil }},
	} {
		t.Run(said, func(t *testing.T) {
			f := start(t)
			config := settings(f)
			found := func() error {
				z, err := route53.New(config)
				if err != nil {
					t.Fatal(err)
				}
				_, err = z.Apply(t.Context(), []cluster.Change{add(cluster.NewRecordSet(label(1)+".c1."+config.Zone+".", cluster.A, "192.0.2.1"))})
				return err
			}
			c.broken(f, &config)
			if err := found(); !strings.Contains(strings.Join(fault.Remedy(err), "\n"), said) {
				t.Fatalf("%v, %q", err, fault.Remedy(err))
			}
			c.mend(f, &config)
			if err := found(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A batch that Route 53 would not take is not sent, nor divided.
func TestTooLarge(t *testing.T) {
	for text, changes := range map[string][]cluster.Change{
		"1001 values": func() (out []cluster.Change) {
			for i := range 1001 {
				out = append(out, add(cluster.NewRecordSet(fmt.Sprintf("etcd-%07d.%s.", i, domain), cluster.A, "192.0.2.1")))
			}
			return out
		}(),
		"characters together": {add(marker(strings.Repeat("x", 3000))), add(services(950))},
	} {
		f := start(t)
		_, err := client(t, f).Apply(t.Context(), changes)
		if !errors.Is(err, fault.Unsupported) || !strings.Contains(err.Error(), text) || !strings.Contains(fault.Remedy(err)[0], "fewer members") || f.Calls()[change] > 0 {
			t.Errorf("%v, %q, %v", err, fault.Remedy(err), f.Calls())
		}
	}
}

// Whatever goes wrong, nothing that is said holds the secret (rule R15).
func TestTheSecretIsNeverShown(t *testing.T) {
	var said []string
	try := func(f *route53fake.Fake, edit ...func(*route53.Config)) {
		z := client(t, f, edit...)
		_, err := z.Read(t.Context(), keys(1))
		_, err2 := z.Apply(t.Context(), claim("gen=1", 1))
		for _, v := range []any{err, err2, z} {
			said = append(said, fmt.Sprintf("%v", v))
		}
		said = append(append(said, fault.Remedy(err)...), fault.Remedy(err2)...)
	}
	f := start(t)
	k := key()
	k.AccessKeyID = "AKIDNOBODY"
	try(f, withKey(k))
	try(f, other(f, "AKIDNOTHING", func(route53fake.Call) bool { return false }))
	f.On("ListHostedZonesByName", 1, route53fake.Fault{StatusAfter: 500})
	try(f)
	f.Down()
	try(f)
	for _, text := range said {
		if strings.Contains(text, secret[:12]) {
			t.Errorf("%q", text)
		}
	}
	if len(said) < 20 {
		t.Errorf("only %d sayings", len(said))
	}
}

// A server that says nothing costs no more than the deadline of a call.
func TestDeadline(t *testing.T) {
	f := start(t)
	z := client(t, f, func(c *route53.Config) { c.Timeout = 100 * time.Millisecond })
	apply(t, client(t, f), add(marker("gen=1")))
	f.Stall()
	if _, err := z.Apply(t.Context(), []cluster.Change{replace(marker("gen=1"), marker("gen=2"))}); !errors.Is(err, dns.ErrUnknownOutcome) || !strings.Contains(err.Error(), "no answer within 100ms") {
		t.Errorf("%v", err)
	}
	if _, err := z.Read(t.Context(), keys(1)); !errors.Is(err, dns.ErrUnreachable) {
		t.Errorf("%v", err)
	}
}

// transport is a function that carries a call.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
