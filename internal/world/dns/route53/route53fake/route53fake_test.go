package route53fake_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/pleiad-etcd/pleiad/internal/world/dns/route53/route53fake"
)

func key() aws.Credentials {
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}
}

// bench is a fake with a zone Z1 and a client that sends what it is told to.
type bench struct {
	*route53fake.Fake
	t    *testing.T
	edit func(*http.Request) // after signing
	at   time.Time
}

func start(t *testing.T) *bench {
	f := route53fake.New(t)
	f.AddZone(route53fake.Zone{ID: "Z1", Name: "a.test"})
	f.Allow(key(), nil)
	return &bench{Fake: f, t: t, at: time.Now(), edit: func(*http.Request) {}}
}

func (b *bench) send(method, path, body string) (int, string) {
	b.t.Helper()
	r, err := http.NewRequest(method, b.URL+"/2013-04-01/"+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(b.t.Context(), key(), r, hex.EncodeToString(sum[:]), "route53", "us-east-1", b.at); err != nil {
		b.t.Fatal(err)
	}
	b.edit(r)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer.StatusCode, string(raw)
}

// refused sends what must be refused with these words, and nothing of it done.
func (b *bench) refused(status int, words, method, path, body string) {
	b.t.Helper()
	before := len(b.Sets("Z1"))
	got, text := b.send(method, path, body)
	if got != status || !strings.Contains(text, words) || len(b.Sets("Z1")) != before {
		b.t.Errorf("%s %s: %d %s; want %d with %q", method, path, got, text, status, words)
	}
}

func batch(changes ...string) string {
	return `<ChangeResourceRecordSetsRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeBatch><Changes>` +
		strings.Join(changes, "") + `</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>`
}

func one(action, name, kind, ttl string, values ...string) string {
	out := "<Change><Action>" + action + "</Action><ResourceRecordSet><Name>" + name + "</Name><Type>" + kind + "</Type><TTL>" + ttl + "</TTL><ResourceRecords>"
	for _, v := range values {
		out += "<ResourceRecord><Value>" + v + "</Value></ResourceRecord>"
	}
	return out + "</ResourceRecords></ResourceRecordSet></Change>"
}

const rrset = "hostedzone/Z1/rrset/"

// A batch is carried out whole, or it is said what is wrong with each change.
func TestBatches(t *testing.T) {
	b := start(t)
	if status, text := b.send("POST", rrset, batch(one("CREATE", "x.a.test", "A", "60", "192.0.2.1", "192.0.2.2"), one("CREATE", "*.a.test", "TXT", "60", `"a"`))); status != 200 || !strings.Contains(text, "<Status>PENDING</Status>") {
		t.Fatalf("%d %s", status, text)
	}
	if got := b.Sets("Z1"); len(got) != 2 || got[0].Name != `\052.a.test.` {
		t.Errorf("%+v", got)
	}
	for words, changes := range map[string][]string{
		"[name=&#39;x.a.test.&#39;, type=&#39;A&#39;] but it already exists": {one("CREATE", "y.a.test", "A", "60", "192.0.2.1"), one("CREATE", "X.A.test.", "A", "60", "192.0.2.1")},
		"[name=&#39;y.a.test.&#39;, type=&#39;A&#39;] but it was not found":  {one("DELETE", "y.a.test", "A", "60", "192.0.2.1")},
		"but the values provided do not match the current values]":           {one("DELETE", "x.a.test", "A", "60", "192.0.2.1")},
		"do not match the current values, Tried to create resource":          {one("DELETE", "x.a.test", "A", "61", "192.0.2.1", "192.0.2.2"), one("CREATE", "x.a.test", "A", "60", "192.0.2.3")},
		"invalid set of changes":                   {one("DELETE", "x.a.test", "A", "60", "192.0.2.2", "192.0.2.1"), one("DELETE", "x.a.test", "A", "60", "192.0.2.1", "192.0.2.2")},
		"Invalid action UPSERT":                    {one("UPSERT", "x.a.test", "A", "60", "192.0.2.1")},
		"is not permitted in zone a.test.":         {one("CREATE", "x.ba.test", "A", "60", "192.0.2.1")},
		"Duplicate Resource Record":                {one("CREATE", "y.a.test", "A", "60", "192.0.2.1", "192.0.2.1")},
		"ARRDATAIllegalIPv4Address":                {one("CREATE", "y.a.test", "A", "60", "2001:db8::1")},
		"SRVRRDATAIllegal":                         {one("CREATE", "y.a.test", "SRV", "60", "0 0 x.a.test.")},
		"should be enclosed in quotation marks":    {one("CREATE", "y.a.test", "TXT", "60", "a")},
		"Invalid request: Missing field":           {one("CREATE", "y.a.test", "A", "60")},
		"Invalid request: Expected exactly one of": {one("CREATE", "y.a.test", "A", "-1", "192.0.2.1")},
		"RDATA characters limit of 32000 exceeded": {one("CREATE", "y.a.test", "TXT", "60", `"`+strings.Repeat("x", 32000)+`"`)},
		"Number of records limit of 1000 exceeded": {one("CREATE", "y.a.test", "A", "60", make([]string, 1001)...)},
	} {
		b.refused(400, words, "POST", rrset, batch(changes...))
	}
	b.refused(400, "MalformedInput", "POST", rrset, strings.Replace(batch(one("CREATE", "y.a.test", "A", "60", "192.0.2.1")), "<TTL>", "<Ttl>", 1))
	b.refused(400, "MalformedInput", "POST", rrset, "<x/>")
	b.refused(400, "InvalidInput", "POST", rrset, batch())
	b.refused(404, "NoSuchHostedZone", "POST", "hostedzone/Z2/rrset", batch(one("CREATE", "y.a.test", "A", "60", "192.0.2.1")))
	b.refused(404, "NoSuchChange", "GET", "change/C1", "")
	b.refused(404, "InvalidAction", "GET", "hostedzone", "")
	b.refused(400, "unknown parameter", "GET", rrset+"?names=x", "")
	b.refused(400, "type needs name", "GET", rrset+"?type=A", "")
	b.refused(400, "maxItems", "GET", "hostedzonesbyname?maxitems=0", "")
}

// Each client is wrong in one way.
func TestSignatures(t *testing.T) {
	for name, c := range map[string]struct {
		wrong func(*bench)
		code  string
	}{
		"no signature":     {func(b *bench) { b.edit = func(r *http.Request) { r.Header.Del("Authorization") } }, "MissingAuthenticationToken"},
		"broken signature": {func(b *bench) { b.edit = func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x") } }, "IncompleteSignature"},
		"clock behind":     {func(b *bench) { b.at = b.at.Add(-16 * time.Minute) }, "Signature expired"},
		"unknown key":      {func(b *bench) { b.Forbid(key().AccessKeyID) }, "InvalidClientTokenId"},
		"unsigned header":  {func(b *bench) { b.edit = func(r *http.Request) { r.Header.Set("X-Amz-Target", "x") } }, "is not signed"},
		"another body": {func(b *bench) {
			b.edit = func(r *http.Request) {
				raw, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(bytes.Replace(raw, []byte("192.0.2.1"), []byte("192.0.2.2"), 1)))
			}
		}, "does not match the signature"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			c.wrong(b)
			b.refused(403, c.code, "POST", rrset, batch(one("CREATE", "y.a.test", "A", "60", "192.0.2.1")))
		})
	}
}
