package discovery

import (
	"net"
	"testing"
)

func TestHostsAreAskedForWithoutTheSearchList(t *testing.T) {
	own, system := NameServer("127.0.0.1:53"), net.DefaultResolver
	tests := []struct {
		resolver   *net.Resolver
		host, want string
	}{
		{own, "m1.lab.test", "m1.lab.test."},
		{own, "m1.lab.test.", "m1.lab.test."},
		{own, "127.0.0.1", "127.0.0.1"},
		{own, "::1", "::1"},
		{own, "", ""},
		{system, "m1.lab.test", "m1.lab.test"}, // glibc knows no trailing dot in /etc/hosts
	}
	for _, tt := range tests {
		if got := hostFor(tt.resolver, tt.host); got != tt.want {
			t.Errorf("%q is asked for as %q, want %q", tt.host, got, tt.want)
		}
	}
}

func TestNameServerAddress(t *testing.T) {
	tests := map[string]string{
		"127.0.0.1:5353": "127.0.0.1:5353",
		"127.0.0.1":      "127.0.0.1:53",
		"::1":            "[::1]:53",
		"[::1]":          "[::1]:53",
		"[::1]:5353":     "[::1]:5353",
		"ns1.lab.test":   "ns1.lab.test:53",
	}
	for given, want := range tests {
		if got := serverAddress(given); got != want {
			t.Errorf("%q is dialled as %q, want %q", given, got, want)
		}
	}
}
