package spec

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec/option"
)

// Limits of names, in characters.
const (
	maxName    = 253 // of a domain name in text form, without the trailing dot (RFC 1035, 2.3.4)
	maxLabel   = 63  // of a label (RFC 1035, 2.3.4)
	maxCluster = 40  // of a cluster's name, which becomes part of file names and certificates
	// maxDiscovery leaves room for the longest label that etcd puts before a
	// discovery name, "_etcd-server-ssl-".
	maxDiscovery = maxLabel - len("_etcd-server-ssl-")
)

// longestMember is a member's name at its longest.
const longestMember = cluster.MemberName("etcd-xxxxxxxxxxxx")

// checkText refuses what no value of a spec holds.
func checkText(text string) error {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return errors.New("holds a control character; expected text")
	}
	return nil
}

// checkLabel returns a name that is one label of a host name (RFC 1123, 2.1),
// in lower case.
func checkLabel(text string, most int) (string, error) {
	label := strings.ToLower(text)
	want := fmt.Sprintf("expected letters, digits and hyphens, at most %d", most)
	switch {
	case label == "":
		return "", errors.New("empty; " + want)
	case len(label) > most:
		return "", fmt.Errorf("%d characters long; %s", len(label), want)
	case label[0] == '-' || label[len(label)-1] == '-':
		return "", errors.New("begins or ends with a hyphen; " + want)
	}
	for _, c := range label {
		switch {
		case c > 0x7f:
			return "", fmt.Errorf("%q is not ASCII; expected an international name in its xn-- form", c)
		case (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-':
			return "", fmt.Errorf("%q is not allowed; %s", c, want)
		}
	}
	return label, nil
}

// checkDomain returns a domain name in lower case without trailing dot.
func checkDomain(text string) (string, error) {
	const want = "expected a domain name such as dev.test"
	domain := strings.ToLower(strings.TrimSuffix(text, "."))
	if domain == "" {
		return "", errors.New("empty; " + want)
	}
	if _, err := netip.ParseAddr(domain); err == nil {
		return "", errors.New("an IP address; " + want)
	}
	if len(domain) > maxName {
		return "", fmt.Errorf("%d characters long; expected at most %d", len(domain), maxName)
	}
	labels := strings.Split(domain, ".")
	for _, l := range labels {
		if _, err := checkLabel(l, maxLabel); err != nil {
			return "", fmt.Errorf("label %q: %w", l, err)
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return "", fmt.Errorf("ends in the number %s; %s", last, want)
	}
	return domain, nil
}

// checkDiscoveryDomain is checkDomain for the domain that gets our records. A
// single label is a top-level domain, or looked up below a search list.
func checkDiscoveryDomain(text string) (string, error) {
	domain, err := checkDomain(text)
	if err == nil && !strings.Contains(domain, ".") {
		err = errors.New("a single label; expected a domain name such as dev.test")
	}
	return domain, err
}

// longestName is the longest name of any record of a cluster.
func longestName(s cluster.Spec) string {
	longest := s.HostName(longestMember)
	for _, name := range append(s.RivalServices(), s.ServerService(), s.ClientService(), s.MarkerName()) {
		if name = strings.TrimSuffix(name, "."); len(name) > len(longest) {
			longest = name
		}
	}
	return longest
}

// checkMembers takes the sizes that a cluster may be meant to have. It passes
// even ones on its way from one size to another, but nothing is gained by
// aiming at one.
func checkMembers(text string) (int, error) {
	const want = "expected 1, 3, 5, 7 or 9"
	n, err := strconv.Atoi(text)
	switch {
	case n < 1:
		return 0, errors.New("fewer than one voter; " + want)
	case err != nil || n > 9:
		return 0, errors.New("each additional voter makes every write slower; " + want)
	case n%2 == 0:
		return 0, fmt.Errorf("no safer than %d: either tolerates the loss of %d; %s", n-1, cluster.Tolerance(n), want)
	}
	return n, nil
}

// checkServer returns host:port of a name server given as host or host:port,
// IPv6 addresses with or without brackets.
func checkServer(text string) (string, error) {
	const want = "expected a host name or an IP address, with a port if it is not 53"
	bare := text
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		bare = text[1 : len(text)-1]
	}
	if addr, err := netip.ParseAddr(bare); err == nil {
		return netip.AddrPortFrom(addr.Unmap(), 53).String(), nil
	}
	if addr, err := netip.ParseAddrPort(text); err == nil && addr.Port() != 0 {
		return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()).String(), nil
	}
	if strings.HasPrefix(text, "[") {
		return "", errors.New("not an address and port; " + want)
	}
	host, port, given := strings.Cut(text, ":")
	if !given {
		port = "53"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", fmt.Errorf("%q is not a port; %s", port, want)
	}
	if host, err = checkDomain(host); err != nil {
		return "", fmt.Errorf("%s; %s", firstPart(err), want)
	}
	return host + ":" + strconv.FormatUint(n, 10), nil
}

// firstPart is an error without what it expected.
func firstPart(err error) string {
	what, _, _ := strings.Cut(err.Error(), ";")
	return what
}

// checkPath takes paths as the system will: there is no shell behind a spec to
// expand anything.
func checkPath(text string) error {
	switch {
	case text == "":
		return errors.New("empty; expected a path")
	case strings.HasPrefix(text, "~"), strings.HasPrefix(text, "$"):
		return fmt.Errorf("begins with %s, which only a shell expands; expected the path written out", text[:1])
	}
	return nil
}

// relativeTo is path as seen from where the file is read; absolute paths stay.
func relativeTo(file, path string) string {
	if filepath.IsAbs(path) || strings.HasPrefix(path, "/") {
		return path
	}
	path = filepath.Join(filepath.Dir(file), path)
	if checkPath(path) != nil {
		return "." + string(filepath.Separator) + path // "./~x" was cleaned to "~x"
	}
	return path
}

func checkOption(name, value string) error {
	err := option.Check(name, value)
	if errors.Is(err, option.ErrUnknown) {
		if near := nearest(name, option.Names()); near != "" {
			return fmt.Errorf("%w; did you mean %s?", err, near)
		}
	}
	return err
}

func checkOptions(options map[string]string) (name string, err error) {
	for k, v := range options {
		if option.Check(k, v) != nil {
			return "", nil // has its own problem
		}
	}
	return option.CheckTogether(options)
}
