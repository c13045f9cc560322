package discovery

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// question is a checked request for one cluster's records of one role.
type question struct {
	options
	role   string // "client" or "server"
	domain string // lower case, no trailing dot
}

func newQuestion(role, domain string, opts []Option) (question, error) {
	q := question{options: newOptions(opts), role: role}
	host, err := canonicalHost(domain)
	if err != nil {
		return q, &Error{Kind: ErrInvalidArgument, Err: fmt.Errorf("domain %q: %w", domain, err)}
	}
	q.domain = host
	name, err := canonicalServiceName(q.serviceName)
	if err != nil {
		return q, &Error{Kind: ErrInvalidArgument, Err: fmt.Errorf("service name %q: %w", q.serviceName, err)}
	}
	q.serviceName = name
	for _, s := range q.services() {
		if _, err := canonicalHost(s.name); err != nil {
			return q, &Error{Kind: ErrInvalidArgument, Err: fmt.Errorf("name %q: %w", s.name, err)}
		}
	}
	return q, nil
}

// service is one of the names that may hold the SRV records.
type service struct {
	name string // with trailing dot
	tls  bool
}

// services are the names to ask, TLS first (etcd client/pkg/srv/srv.go,
// GetSRVService).
func (q question) services() []service {
	named := func(ssl string) string {
		name := "_etcd-" + q.role + ssl
		if q.serviceName != "" {
			name += "-" + q.serviceName
		}
		return name + "._tcp." + q.domain + "."
	}
	secure, plain := service{named("-ssl"), true}, service{named(""), false}
	switch q.choice {
	case tlsOnly:
		return []service{secure}
	case plainOnly:
		return []service{plain}
	}
	return []service{secure, plain}
}

// canonicalServiceName checks what is joined to "_etcd-client-". The name
// "ssl", and names that begin with "ssl-", would make the plain records of one
// cluster the TLS records of another.
func canonicalServiceName(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if strings.Contains(name, ".") {
		return "", errors.New("want one DNS label, without dots")
	}
	lower, err := canonicalHost("a" + name) // a letter first: it stands inside a longer label
	if err != nil {
		return "", err
	}
	lower = lower[1:]
	if lower == "ssl" || strings.HasPrefix(lower, "ssl-") {
		return "", errors.New(`"ssl" is how etcd marks the records of members with TLS`)
	}
	return lower, nil
}

// canonicalHost returns a host or domain name in lower case without trailing
// dot, if it is one by RFC 1123, section 2.1, within the limits of RFC 1035,
// section 2.3.4. Underscores are let pass, as net and crypto/x509 do.
func canonicalHost(name string) (string, error) {
	bare := strings.TrimSuffix(name, ".")
	if bare == "" {
		return "", errors.New("want a host name")
	}
	if _, err := netip.ParseAddr(bare); err == nil {
		return "", errors.New("want a host name, not an IP address")
	}
	if len(bare) > 253 {
		return "", fmt.Errorf("%d characters, a DNS name has at most 253", len(bare))
	}
	for label := range strings.SplitSeq(bare, ".") {
		if err := checkLabel(label); err != nil {
			return "", err
		}
	}
	last := bare[strings.LastIndexByte(bare, '.')+1:]
	if strings.Trim(last, "0123456789") == "" {
		return "", fmt.Errorf("a host name does not end in a number (%s)", last)
	}
	return strings.ToLower(bare), nil // bare is ASCII by now
}

func checkLabel(label string) error {
	switch {
	case label == "":
		return errors.New("a label is empty")
	case len(label) > 63:
		return fmt.Errorf("label %q has %d characters, at most 63 are allowed", label, len(label))
	case label[0] == '-' || label[len(label)-1] == '-':
		return fmt.Errorf("label %q begins or ends with a hyphen", label)
	}
	for _, r := range label {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_':
		case r > 127:
			return fmt.Errorf("label %q is not ASCII; write it in its xn-- form", label)
		default:
			return fmt.Errorf("label %q has the character %q", label, r)
		}
	}
	return nil
}
