package cloudflaretest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// recorder is a test that keeps what it is told.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// With the API's description, what it does not allow is found by it alone: each
// of these requests reaches a handler that would take anything.
func TestDescription(t *testing.T) {
	file := os.Getenv(Description)
	if file == "" {
		t.Logf("%s is not set: requests and answers are not held against the API's description", Description)
		return
	}
	d, err := describe(file)
	if err != nil {
		t.Fatal(err)
	}
	good := `{"type":"SRV","name":"_etcd-server._tcp.a.test","ttl":60,"proxied":false,"data":{"priority":0,"weight":0,"port":2380,"target":"e.a.test"}}`
	for name, c := range map[string]struct {
		method, path, body string
		fine               bool
	}{
		"zones":             {"GET", "/zones?name=a.test", "", true},
		"a list":            {"GET", "/zones/0123/dns_records?name.endswith=a.test&order=name&per_page=5000&page=1", "", true},
		"a batch":           {"POST", "/zones/0123/dns_records/batch", `{"deletes":[{"id":"01"}],"posts":[` + good + `]}`, true},
		"an unknown path":   {"GET", "/zones/0123/records", "", false},
		"another order":     {"GET", "/zones/0123/dns_records?order=age", "", false},
		"page 0":            {"GET", "/zones/0123/dns_records?page=0", "", false},
		"an unknown list":   {"POST", "/zones/0123/dns_records/batch", `{"creates":[` + good + `]}`, false},
		"no ID":             {"POST", "/zones/0123/dns_records/batch", `{"deletes":[{}]}`, false},
		"no TTL":            {"POST", "/zones/0123/dns_records/batch", `{"posts":[` + strings.Replace(good, `"ttl":60,`, "", 1) + `]}`, false},
		"a TTL of 20":       {"POST", "/zones/0123/dns_records/batch", `{"posts":[` + strings.Replace(good, `60`, "20", 1) + `]}`, false},
		"port 70000":        {"POST", "/zones/0123/dns_records/batch", `{"posts":[` + strings.Replace(good, `2380`, "70000", 1) + `]}`, false},
		"no target":         {"POST", "/zones/0123/dns_records/batch", `{"posts":[` + strings.Replace(good, `,"target":"e.a.test"`, "", 1) + `]}`, false},
		"a proxied service": {"POST", "/zones/0123/dns_records/batch", `{"posts":[` + strings.Replace(good, `false`, "true", 1) + `]}`, false},
		"no IPv4 address":   {"POST", "/zones/0123/dns_records/batch", `{"posts":[{"type":"A","name":"a.test","ttl":60,"content":"2001:db8::1"}]}`, false},
	} {
		r, err := http.NewRequest(c.method, "http://127.0.0.1/client/v4"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer x")
		if c.body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		said := &recorder{TB: t}
		d.request(said, r, []byte(c.body))
		if fine := len(said.errors) == 0; fine != c.fine {
			t.Errorf("%s: %q", name, said.errors)
		}
	}
	r, err := http.NewRequest("GET", "http://127.0.0.1/client/v4/zones", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer x")
	for body, fine := range map[string]bool{
		`{"success":true,"errors":[],"messages":[],"result":[]}`:              true,
		`{"success":true,"result":[]}`:                                        false,
		`{"success":true,"errors":[],"messages":[],"result":[{"id":"x"}]}`:    false,
		`{"success":false,"errors":[],"messages":[],"result":null}`:           false,
		`{"success":true,"errors":[],"messages":[],"result":"a few of them"}`: false,
	} {
		said, answer := &recorder{TB: t}, httptest.NewRecorder()
		answer.Header().Set("Content-Type", "application/json")
		answer.WriteString(body)
		if d.answer(said, r, nil, answer); (len(said.errors) == 0) != fine {
			t.Errorf("%s: %q", body, said.errors)
		}
	}
}
