package cloudflare_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/cloudflare/cloudflaretest"
)

// What only a person can mend: what is said of it, and what they can do.
func TestWhatAPersonMustDo(t *testing.T) {
	anywhere := func(c *cloudflare.Config) { c.Zone = "" }
	for name, c := range map[string]struct {
		zone   cloudflaretest.Zone
		right  cloudflaretest.Right
		edit   func(*cloudflare.Config)
		kind   error
		text   string
		remedy string
	}{
		"the token is unknown": {zone: cloudflaretest.Zone{Name: zone}, right: cloudflaretest.EditRecords, edit: withToken(t, "wrong"),
			kind: dns.ErrDenied, text: "does not know the token", remedy: "into /etc/pleiad/cloudflare"},
		"the token is for another zone": {zone: cloudflaretest.Zone{Name: zone},
			kind: dns.ErrDenied, text: "the token sees no zone " + zone, remedy: `"Zone, DNS, Edit" and "Zone, Zone, Read" for the zone ` + zone},
		"there is no zone": {zone: cloudflaretest.Zone{Name: "example.com"}, right: cloudflaretest.EditRecords, edit: anywhere,
			kind: dns.ErrDenied, text: "the token sees no zone c1.twindb.com or twindb.com", remedy: "dns.cloudflare.zone"},
		"the token may not see records": {zone: cloudflaretest.Zone{Name: zone}, right: cloudflaretest.ReadZone,
			kind: dns.ErrDenied, text: "the token may not do this in zone " + zone, remedy: `"Zone, DNS, Edit"`},
		"the token may not edit": {zone: cloudflaretest.Zone{Name: zone}, right: cloudflaretest.ReadRecords,
			kind: dns.ErrDenied, text: "the token may not do this in zone " + zone, remedy: `"Zone, DNS, Edit"`},
		"the zone is pending": {zone: cloudflaretest.Zone{Name: zone, Status: "pending"}, right: cloudflaretest.EditRecords,
			kind: fault.Unsupported, text: "it is pending, not active", remedy: "bob.ns.cloudflare.com, lola.ns.cloudflare.com"},
		"the zone has moved": {zone: cloudflaretest.Zone{Name: zone, Status: "moved"}, right: cloudflaretest.EditRecords,
			kind: fault.Unsupported, text: "it is moved, not active", remedy: "make these the name servers"},
		"the zone is secondary": {zone: cloudflaretest.Zone{Name: zone, Kind: "secondary"}, right: cloudflaretest.EditRecords,
			kind: fault.Unsupported, text: "secondary zone", remedy: "dns.rfc2136"},
		"the zone is partial": {zone: cloudflaretest.Zone{Name: zone, Kind: "partial"}, right: cloudflaretest.EditRecords,
			kind: fault.Unsupported, text: "another provider answers", remedy: "zone of its own"},
		"the zone is full": {zone: cloudflaretest.Zone{Name: zone, Quota: 3, BatchLimit: 1000}, right: cloudflaretest.EditRecords,
			kind: dns.ErrDenied, text: "81045 Record quota exceeded", remedy: "200 records"},
		"the batch is too large": {zone: cloudflaretest.Zone{Name: zone, Quota: 1000}, right: cloudflaretest.EditRecords,
			kind: dns.ErrDenied, text: "241 operations of one batch, and a Free zone takes 200", remedy: "fewer members"},
	} {
		t.Run(name, func(t *testing.T) {
			f := cloudflaretest.New(t)
			f.AddZone(c.zone)
			f.Allow(secret, c.zone.Name, c.right)
			edit := c.edit
			if edit == nil {
				edit = func(*cloudflare.Config) {}
			}
			z := client(t, f, edit)
			_, err := z.Apply(t.Context(), claim("gen=1", 120))
			remedy := strings.Join(fault.Remedy(err), "\n")
			if !errors.Is(err, c.kind) || !fault.Lasting(err) || !strings.Contains(err.Error(), c.text) || !strings.Contains(remedy, c.remedy) {
				t.Errorf("%v\n%s", err, remedy)
			}
			if len(f.Records(c.zone.Name)) > 0 {
				t.Error("it has written")
			}
		})
	}
}

// Whoever does as they are told can go on.
func TestRemediesMend(t *testing.T) {
	const other = "twindb.net"
	for said, c := range map[string]struct {
		broken func(*cloudflaretest.Fake, *cloudflare.Config)
		mend   func(*cloudflaretest.Fake, *cloudflare.Config)
	}{
		"make a token with": {
			func(f *cloudflaretest.Fake, _ *cloudflare.Config) { f.Forbid(secret) },
			func(f *cloudflaretest.Fake, c *cloudflare.Config) {
				f.Allow("new", zone, cloudflaretest.EditRecords)
				c.Token = token(t, "new")
			}},
		"put the token, and nothing else, into": {
			func(_ *cloudflaretest.Fake, c *cloudflare.Config) { c.Token = token(t, "other") },
			func(_ *cloudflaretest.Fake, c *cloudflare.Config) { c.Token = token(t, secret) }},
		`give the token the permission "Zone, DNS, Edit"`: {
			func(f *cloudflaretest.Fake, _ *cloudflare.Config) { f.Allow(secret, zone, cloudflaretest.ReadRecords) },
			func(f *cloudflaretest.Fake, _ *cloudflare.Config) { f.Allow(secret, zone, cloudflaretest.EditRecords) }},
		"see whether the zone is in the account": {
			func(f *cloudflaretest.Fake, c *cloudflare.Config) { c.Zone, c.Domain = other, "c1."+other },
			func(f *cloudflaretest.Fake, _ *cloudflare.Config) {
				f.AddZone(cloudflaretest.Zone{Name: other})
				f.Allow(secret, other, cloudflaretest.EditRecords)
			}},
		"put that into dns.cloudflare.zone": {
			func(_ *cloudflaretest.Fake, c *cloudflare.Config) { c.Zone = domain },
			func(_ *cloudflaretest.Fake, c *cloudflare.Config) { c.Zone = zone }},
		"make these the name servers": {
			func(f *cloudflaretest.Fake, _ *cloudflare.Config) {
				f.ChangeZone(zone, func(z *cloudflaretest.Zone) { z.Status = "pending" })
			},
			func(f *cloudflaretest.Fake, _ *cloudflare.Config) {
				f.ChangeZone(zone, func(z *cloudflaretest.Zone) { z.Status = "active" })
			}},
		"see what Cloudflare waits for": {
			func(f *cloudflaretest.Fake, _ *cloudflare.Config) {
				f.ChangeZone(zone, func(z *cloudflaretest.Zone) { z.Status, z.NameServers = "initializing", []string{} })
			},
			func(f *cloudflaretest.Fake, _ *cloudflare.Config) {
				f.ChangeZone(zone, func(z *cloudflaretest.Zone) { z.Status = "active" })
			}},
		"remove records that nobody needs, or take another plan": {
			func(f *cloudflaretest.Fake, _ *cloudflare.Config) {
				f.ChangeZone(zone, func(z *cloudflaretest.Zone) { z.Quota = 2 })
			},
			func(f *cloudflaretest.Fake, _ *cloudflare.Config) {
				f.ChangeZone(zone, func(z *cloudflaretest.Zone) { z.Quota = 3500 })
			}},
		"take another plan for the zone": {
			func(f *cloudflaretest.Fake, _ *cloudflare.Config) {
				f.ChangeZone(zone, func(z *cloudflaretest.Zone) { z.Quota = 3500 })
			},
			func(f *cloudflaretest.Fake, _ *cloudflare.Config) {
				f.ChangeZone(zone, func(z *cloudflaretest.Zone) { z.BatchLimit = 3500 })
			}},
		"give the cluster a domain of its own": {
			func(f *cloudflaretest.Fake, c *cloudflare.Config) {
				f.PageLimit, c.Domain = 1, zone
				for i := range 101 {
					f.Put(zone, cloudflaretest.Record{Type: "A", Name: fmt.Sprintf("www%d.%s", i, zone), Content: "192.0.2.1"})
				}
			},
			func(f *cloudflaretest.Fake, c *cloudflare.Config) { c.Domain = domain }},
		"remove that record": {
			func(f *cloudflaretest.Fake, _ *cloudflare.Config) {
				f.Put(zone, cloudflaretest.Record{Type: "CNAME", Name: label(1) + "." + domain, Content: "a.example.com"})
			},
			func(f *cloudflaretest.Fake, _ *cloudflare.Config) { f.Delete(zone, f.Records(zone)[0].ID) }},
		"allow HTTPS from here": {
			func(_ *cloudflaretest.Fake, c *cloudflare.Config) {
				c.Transport = transport(func(*http.Request) (*http.Response, error) { return nil, errors.New("no route to host") })
			},
			func(_ *cloudflaretest.Fake, c *cloudflare.Config) { c.Transport = nil }},
	} {
		t.Run(said, func(t *testing.T) {
			f := start(t)
			config := cloudflare.Config{Domain: domain, Zone: zone, Token: token(t, secret), Endpoint: f.URL}
			found := func(members int) error {
				z, err := cloudflare.New(config)
				if err != nil {
					t.Fatal(err)
				}
				changes := []cluster.Change{add(cluster.NewRecordSet("_pleiad."+config.Domain+".", cluster.TXT, "x"))}
				for i := range members {
					changes = append(changes, add(cluster.NewRecordSet(label(i)+"."+config.Domain+".", cluster.A, "192.0.2.1")))
				}
				_, err = z.Apply(t.Context(), changes)
				return err
			}
			members := 5
			if strings.HasPrefix(said, "take another plan") {
				members = 250
			}
			c.broken(f, &config)
			if err := found(members); !strings.Contains(strings.Join(fault.Remedy(err), "\n"), said) {
				t.Fatalf("%v, %q", err, fault.Remedy(err))
			}
			c.mend(f, &config)
			if err := found(members); err != nil {
				t.Error(err)
			}
		})
	}
}

// The token is taken away halfway and given back.
func TestRevokedHalfway(t *testing.T) {
	f := start(t)
	z := client(t, f)
	apply(t, z, claim("gen=1", 2)...)
	f.Forbid(secret)
	change := []cluster.Change{replace(marker("gen=1"), marker("gen=2"))}
	if _, err := z.Apply(t.Context(), change); !errors.Is(err, dns.ErrDenied) || !strings.Contains(err.Error(), "or it has ended") {
		t.Errorf("%v", err)
	}
	if _, err := z.Apply(t.Context(), change); !errors.Is(err, dns.ErrDenied) || !strings.Contains(err.Error(), "does not know the token") {
		t.Errorf("asked again who it is: %v", err)
	}
	f.Allow(secret, zone, cloudflaretest.EditRecords)
	apply(t, z, change...)
}

// The zone is the nearest one above the domain, and the active one of its name.
func TestZoneIsFound(t *testing.T) {
	f := cloudflaretest.New(t)
	f.AddZone(cloudflaretest.Zone{Name: "com", ID: "tld"})
	f.AddZone(cloudflaretest.Zone{Name: zone, ID: "pending", Status: "pending"})
	want := f.AddZone(cloudflaretest.Zone{Name: zone, ID: "active"})
	f.AddZone(cloudflaretest.Zone{Name: "x" + domain, ID: "lookalike"})
	for _, name := range []string{"com", zone, "x" + domain} {
		f.Allow(secret, name, cloudflaretest.EditRecords)
	}
	z := client(t, f, func(c *cloudflare.Config) { c.Zone = "" })
	for range 2 {
		got, err := z.Zone(t.Context())
		if err != nil || got.ID != "active" || got.Name != zone || len(got.NameServers) != len(want.NameServers) || len(got.Permissions) != 3 {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if got := f.Calls(); got.Zones != 2 {
		t.Errorf("%d calls for two labels", got.Zones)
	}
	if _, err := cloudflare.New(cloudflare.Config{Domain: domain, Zone: "example.com", Token: token(t, secret)}); err == nil {
		t.Error("a domain outside the zone")
	}
}

// Try proves the right to write without writing.
func TestTry(t *testing.T) {
	f := start(t)
	f.Allow("reads", zone, cloudflaretest.ReadRecords)
	if err := client(t, f).Try(t.Context()); err != nil {
		t.Errorf("a token that may edit: %v", err)
	}
	if err := client(t, f, withToken(t, "reads")).Try(t.Context()); !errors.Is(err, dns.ErrDenied) {
		t.Errorf("a token that may only read: %v", err)
	}
	if got := values(f); got != nil {
		t.Errorf("%q", got)
	}
}

// Whatever goes wrong, nothing that is said holds the token (rule R15).
func TestTheTokenIsNeverShown(t *testing.T) {
	var said []string
	say := func(values ...any) {
		for _, v := range values {
			said = append(said, fmt.Sprintf("%v %+v %#v", v, v, v))
			if err, ok := v.(error); ok {
				said = append(said, fault.Remedy(err)...)
			}
		}
	}
	try := func(z *cloudflare.Provider) {
		_, err := z.Read(t.Context(), keys(1))
		_, err2 := z.Apply(t.Context(), claim("gen=1", 1))
		say(err, err2, z)
	}
	f := start(t)
	try(client(t, f, withToken(t, secret+"x")))
	for _, body := range []string{
		`{"success":false,"errors":[{"code":1000,"message":"no ` + secret + `","error_chain":[{"code":1,"message":"Bearer ` + secret + `"}]}],"messages":[],"result":null}`,
		`Bearer ` + secret, `{"result":"` + secret + `"}`,
	} {
		f.Answer([]byte(body))
		try(client(t, f))
	}
	for _, broken := range []error{errors.New("proxy says Bearer " + secret), fmt.Errorf("dial %s", secret)} {
		try(client(t, f, func(c *cloudflare.Config) {
			c.Transport = transport(func(*http.Request) (*http.Response, error) { return nil, broken })
		}))
	}
	f.Down()
	try(client(t, f))
	say(token(t, secret), cloudflare.Config{Token: token(t, secret)})
	for _, text := range []string{secret + " " + secret, `token = "` + secret + `"`, secret + "\n" + secret, strings.Repeat(secret, 100)} {
		_, err := cloudflare.ParseToken(text)
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err2 := cloudflare.ReadToken(t.Context(), file)
		if err == nil || err2 == nil {
			t.Errorf("%.10q… is taken for a token", text)
		}
		say(err, err2)
	}
	if len(said) < 20 {
		t.Fatalf("only %d sayings", len(said))
	}
	for _, text := range said {
		if strings.Contains(text, secret[:12]) {
			t.Errorf("%q", text)
		}
	}
}

func TestToken(t *testing.T) {
	f := start(t)
	file := filepath.Join(t.TempDir(), "token")
	for content, fine := range map[string]bool{secret: true, secret + "\n": true, "  " + secret + "\r\n": true, "": false, "\n": false, "CLOUDFLARE_API_TOKEN=" + secret: false, "tökén": false} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := cloudflare.ReadToken(t.Context(), file)
		if (err == nil) != fine {
			t.Errorf("%q: %v", content, err)
		}
		if err == nil {
			read(t, client(t, f, func(c *cloudflare.Config) { c.Token = got }), marker("").Key)
		}
	}
	if _, err := cloudflare.ReadToken(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// A server that says nothing costs no more than the deadline of a call.
func TestDeadline(t *testing.T) {
	f := start(t)
	z := client(t, f, func(c *cloudflare.Config) { c.Timeout = 100 * time.Millisecond })
	apply(t, client(t, f), add(marker("gen=1")))
	f.Stall()
	if _, err := z.Apply(t.Context(), []cluster.Change{replace(marker("gen=1"), marker("gen=2"))}); !errors.Is(err, dns.ErrUnknownOutcome) || !strings.Contains(err.Error(), "no answer within 100ms") {
		t.Errorf("%v", err)
	}
	if _, err := z.Read(t.Context(), keys(1)); !errors.Is(err, dns.ErrUnreachable) {
		t.Errorf("%v", err)
	}
}
