package route53_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/dnstest"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/route53"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/route53/route53fake"
)

const (
	zone   = "twindb.com"
	domain = "c1." + zone
	zoneID = "Z0123456789ABCDEFGHIJ"
	secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

func key() aws.Credentials {
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: secret}
}

// start is a fake with one zone, and a key for it.
func start(t testing.TB) *route53fake.Fake {
	t.Helper()
	f := route53fake.New(t)
	f.AddZone(route53fake.Zone{ID: zoneID, Name: zone})
	f.Allow(key(), nil)
	return f
}

func client(t testing.TB, f *route53fake.Fake, edit ...func(*route53.Config)) *route53.Provider {
	t.Helper()
	c := settings(f)
	for _, e := range edit {
		e(&c)
	}
	p, err := route53.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func settings(f *route53fake.Fake) route53.Config {
	c := route53.Config{Domain: domain, Zone: zone, Endpoint: f.URL, Comment: "etcd cluster c1", Timeout: 20 * time.Second,
		Pause: time.Millisecond, PerSecond: 10_000}
	withKey(key())(&c)
	return c
}

func withKey(k aws.Credentials) func(*route53.Config) {
	return func(c *route53.Config) {
		c.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return k, nil })
	}
}

// other is a key with some rights.
func other(f *route53fake.Fake, id string, may func(route53fake.Call) bool) func(*route53.Config) {
	k := aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}
	f.Allow(k, may)
	return withKey(k)
}

func reads(c route53fake.Call) bool { return c.Action != "ChangeResourceRecordSets" }

// foreign writes record sets as somebody would in the console, letters as given.
func foreign(f *route53fake.Fake) func(cluster.RecordSet) {
	return func(set cluster.RecordSet) {
		s := route53fake.Set{Name: set.Name, Type: string(set.Type), TTL: int64(set.TTL)}
		for _, v := range set.Values {
			if set.Type == cluster.TXT {
				v = `"` + v + `"`
			}
			s.Values = append(s.Values, v)
		}
		f.Put(zoneID, s)
	}
}

func TestConformance(t *testing.T) {
	for name, edit := range map[string]func(*route53fake.Fake){
		"as usual":    func(*route53fake.Fake) {},
		"small pages": func(f *route53fake.Fake) { f.PageLimit = 2 },
		"old form":    func(f *route53fake.Fake) { f.OldForm = true },
	} {
		t.Run(name, func(t *testing.T) {
			dnstest.Run(t, func(t *testing.T) dnstest.Harness {
				f := start(t)
				edit(f)
				f.Pending(3)
				wrong := key()
				wrong.SecretAccessKey = "guessed"
				return dnstest.Harness{
					Zone:   client(t, f),
					Domain: domain,
					Rival:  client(t, f, func(c *route53.Config) { c.Zone, c.ID = "", zoneID }),
					Denied: map[string]dns.Zone{
						"an unknown key":           client(t, f, withKey(aws.Credentials{AccessKeyID: "AKIDNOBODY", SecretAccessKey: secret})),
						"a wrong secret":           client(t, f, withKey(wrong)),
						"a foreign session":        client(t, f, withKey(aws.Credentials{AccessKeyID: key().AccessKeyID, SecretAccessKey: secret, SessionToken: "x"})),
						"a key that may only read": client(t, f, other(f, "AKIDREADS", reads)),
						"a key without rights":     client(t, f, other(f, "AKIDNOTHING", func(route53fake.Call) bool { return false })),
					},
					Foreign:     foreign(f),
					LoseAnswer:  f.LoseAnswer,
					LoseRequest: f.LoseRequest,
					Stall:       f.Stall,
					Down:        f.Down,
				}
			})
		})
	}
}

func add(set cluster.RecordSet) cluster.Change { return cluster.Change{Key: set.Key, New: &set} }
func replace(from, to cluster.RecordSet) cluster.Change {
	return cluster.Change{Key: from.Key, Old: &from, New: &to}
}

func marker(text string) cluster.RecordSet {
	return cluster.NewRecordSet("_pleiad."+domain+".", cluster.TXT, text)
}

func label(i int) string { return fmt.Sprintf("etcd-aaaaaa%d", i) }

func hostSet(i int) cluster.RecordSet {
	return cluster.NewRecordSet(label(i)+"."+domain+".", cluster.A, fmt.Sprintf("10.5.1.%d", i))
}

func services(members int) cluster.RecordSet {
	var values []string
	for i := range members {
		values = append(values, cluster.Service{Target: label(i+1) + "." + domain + ".", Port: 2380}.Value())
	}
	return cluster.NewRecordSet("_etcd-server-ssl._tcp."+domain+".", cluster.SRV, values...)
}

// claim are all changes that found a cluster.
func claim(text string, members int) []cluster.Change {
	out := []cluster.Change{add(marker(text)), add(services(members))}
	for i := range members {
		out = append(out, add(hostSet(i+1)))
	}
	return out
}

func keys(members int) []cluster.Key {
	var out []cluster.Key
	for _, c := range claim("", members) {
		out = append(out, c.Key)
	}
	return out
}

func apply(t testing.TB, z dns.Zone, changes ...cluster.Change) dns.Receipt {
	t.Helper()
	r, err := z.Apply(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t testing.TB, z dns.Zone, keys ...cluster.Key) cluster.Records {
	t.Helper()
	out, err := z.Read(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
