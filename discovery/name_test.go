package discovery

import (
	"errors"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestArgumentsThatCannotBeAskedFor(t *testing.T) {
	long := strings.Repeat("a", 63)
	tests := []struct{ domain, service, want string }{
		{domain: "", want: `invalid argument: domain "": want a host name`},
		{domain: ".", want: `domain ".": want a host name`},
		{domain: "10.0.0.1", want: "not an IP address"},
		{domain: "::1", want: "not an IP address"},
		{domain: "lab..test", want: "a label is empty"},
		{domain: "lab.test..", want: "a label is empty"},
		{domain: ".lab.test", want: "a label is empty"},
		{domain: "-lab.test", want: `label "-lab" begins or ends with a hyphen`},
		{domain: "lab-.test", want: "begins or ends with a hyphen"},
		{domain: "lab test", want: `has the character ' '`},
		{domain: "https://lab.test", want: `has the character ':'`},
		{domain: "lab.test:2379", want: `has the character ':'`},
		{domain: "lab\\.test", want: `has the character '\\'`},
		{domain: "lab\x00.test", want: "has the character"},
		{domain: "büro.test", want: `label "büro" is not ASCII; write it in its xn-- form`},
		{domain: "\u212Aubernetes.test", want: "is not ASCII"}, // the Kelvin sign, whose lower case is an ASCII k
		{domain: "l\xffb.test", want: "is not ASCII"},
		{domain: "lab.1", want: "does not end in a number"},
		{domain: long + "a.test", want: "has 64 characters, at most 63 are allowed"},
		{domain: strings.Repeat(long+".", 4), want: "255 characters, a DNS name has at most 253"},
		{domain: strings.Repeat(long+".", 3) + long[:50], want: "a DNS name has at most 253"}, // with the service in front
		{domain: "lab.test", service: "a.b", want: `service name "a.b": want one DNS label`},
		{domain: "lab.test", service: "a b", want: `has the character ' '`},
		{domain: "lab.test", service: "a-", want: "ends with a hyphen"},
		{domain: "lab.test", service: "ssl", want: `service name "ssl": "ssl" is how etcd marks`},
		{domain: "lab.test", service: "SSL-a", want: `"ssl" is how etcd marks`},
		{domain: "lab.test", service: strings.Repeat("a", 47), want: "has 64 characters"},
	}
	for _, tt := range tests {
		_, err := newQuestion("client", tt.domain, []Option{WithServiceName(tt.service)})
		if !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("domain %q, service name %q: error %v, want %q", tt.domain, tt.service, err, tt.want)
		}
	}
}

func TestServicesAreNamedAsEtcdNamesThem(t *testing.T) {
	tests := []struct {
		role, service, want string
	}{
		{"client", "", "_etcd-client-ssl._tcp.lab.test. _etcd-client._tcp.lab.test."},
		{"client", "c2", "_etcd-client-ssl-c2._tcp.lab.test. _etcd-client-c2._tcp.lab.test."},
		{"server", "7", "_etcd-server-ssl-7._tcp.lab.test. _etcd-server-7._tcp.lab.test."},
		{"client", "sslx", "_etcd-client-ssl-sslx._tcp.lab.test. _etcd-client-sslx._tcp.lab.test."},
	}
	for _, tt := range tests {
		q, err := newQuestion(tt.role, "Lab.Test.", []Option{WithServiceName(tt.service)})
		if err != nil {
			t.Fatal(err)
		}
		s := q.services()
		if got := s[0].name + " " + s[1].name; got != tt.want || !s[0].tls || s[1].tls {
			t.Errorf("%s, %q: services %v, want %s", tt.role, tt.service, s, tt.want)
		}
	}
}

// Whatever is accepted can be put into a DNS message and asked for, and is
// accepted again as it is.
func FuzzDomain(f *testing.F) {
	for _, s := range []string{"lab.test", "LAB.Test.", "büro.test", "a..b", "1.2.3.4", "x_y.z", "-", strings.Repeat("a.", 127)} {
		f.Add(s, "c2")
	}
	f.Fuzz(func(t *testing.T, domain, service string) {
		q, err := newQuestion("client", domain, []Option{WithServiceName(service)})
		if err != nil {
			if !errors.Is(err, ErrInvalidArgument) {
				t.Fatalf("error %v is of another kind", err)
			}
			return
		}
		for _, s := range q.services() {
			if _, err := new(dns.Msg).SetQuestion(s.name, dns.TypeSRV).Pack(); err != nil {
				t.Errorf("%q, %q: name %q cannot be asked for: %v", domain, service, s.name, err)
			}
		}
		again, err := newQuestion("client", q.domain, []Option{WithServiceName(q.serviceName)})
		if err != nil || again.domain != q.domain || again.serviceName != q.serviceName {
			t.Errorf("%q, %q: canonical form %q, %q is not kept: %v", domain, service, q.domain, q.serviceName, err)
		}
	})
}
