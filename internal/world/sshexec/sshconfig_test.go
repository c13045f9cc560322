package sshexec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pleiad-etcd/pleiad/internal/fault"
)

// routeTo is the route to 10.0.0.1 by an ssh_config.
func routeTo(t *testing.T, c Config, text string) (route, error) {
	t.Helper()
	c.SSHConfig = filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(c.SSHConfig, []byte(strings.ReplaceAll(text, "DIR", filepath.Dir(c.SSHConfig))), 0o600); err != nil {
		t.Fatal(err)
	}
	return New(c).route(t.Context(), target{host: "10.0.0.1"})
}

func TestRoute(t *testing.T) {
	t.Setenv("HOME", "/home/op")
	t.Setenv("SSH_AUTH_SOCK", "/run/agent")
	t.Setenv("OTHER", "/run/other")
	me := localUser()
	defaults := func() route {
		return route{address: "10.0.0.1:22", name: "10.0.0.1:22", user: me, agent: "/run/agent", connect: 2500 * time.Millisecond,
			identities: []string{"/home/op/.ssh/id_ed25519", "/home/op/.ssh/id_ecdsa", "/home/op/.ssh/id_rsa"},
			knownHosts: []string{"/home/op/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"}}
	}
	for name, test := range map[string]struct {
		config Config
		text   string
		want   func(r *route)
	}{
		"nothing":                 {},
		"first value wins":        {text: "Host 10.0.0.1\nUser a\nHost *\nUser b\n", want: func(r *route) { r.user = "a" }},
		"before any Host":         {text: "User a\nHost 10.0.0.1\nUser b\n", want: func(r *route) { r.user = "a" }},
		"other host":              {text: "Host 10.0.0.2 h1\nUser a\n"},
		"pattern":                 {text: "Host 10.0.*.?\nUser a\n", want: func(r *route) { r.user = "a" }},
		"? is one character":      {text: "Host 10.0.0.1?\nUser a\n"},
		"negated":                 {text: "Host 10.* !10.0.0.1\nUser a\n"},
		"equals, quotes, comment": {text: "\t hOsT=10.0.0.1 # here\r\n user = \"a b\" # there\n", want: func(r *route) { r.user = "a b" }},
		"port":                    {text: "Port 2222\n", want: func(r *route) { r.address, r.name = "10.0.0.1:2222", "10.0.0.1:2222" }},
		"host name":               {text: "HostName %h.example\nUser a\n", want: func(r *route) { r.address, r.name, r.user = "10.0.0.1.example:22", "10.0.0.1.example:22", "a" }},
		"alias without port":      {text: "Port 2222\nHostKeyAlias gold\n", want: func(r *route) { r.address, r.name = "10.0.0.1:2222", "gold:22" }},
		"identities add up": {text: "Host 10.0.0.1\nIdentityFile ~/a\nHost *\nIdentityFile %d/%r@%h:%p\nIdentitiesOnly yes\nUser u\n",
			want: func(r *route) {
				r.identities, r.chosen, r.onlyThese, r.user = []string{"/home/op/a", "/home/op/u@10.0.0.1:22"}, true, true, "u"
			}},
		"agent":       {text: "IdentityAgent ~/agent\n", want: func(r *route) { r.agent = "/home/op/agent" }},
		"agent named": {text: "IdentityAgent $OTHER\n", want: func(r *route) { r.agent = "/run/other" }},
		"no agent":    {text: "IdentityAgent none\n", want: func(r *route) { r.agent = "" }},
		"known hosts": {text: "UserKnownHostsFile ~/a /b\nGlobalKnownHostsFile ${OTHER}/c\n", want: func(r *route) { r.knownHosts = []string{"/home/op/a", "/b", "/run/other/c"} }},
		"jump":        {text: "ProxyJump me@a:7\n", want: func(r *route) { r.via = &target{host: "a", hop: true, user: "me", port: "7"} }},
		"jumps":       {text: "ProxyJump a, [fd00::1]:7\n", want: func(r *route) { r.via = &target{host: "fd00::1", hop: true, port: "7", jump: "a"} }},
		"no jump":     {text: "ProxyJump none\nProxyCommand x\n"},
		"jump by tokens": {text: "User me\nPort 7\nProxyJump %r@%h-%p\n", want: func(r *route) {
			r.user, r.address, r.name, r.via = "me", "10.0.0.1:7", "10.0.0.1:7", &target{host: "10.0.0.1-7", hop: true, user: "me"}
		}},
		"no command then a jump": {text: "ProxyCommand none\nProxyJump a\n"},
		"connect timeout":        {text: "ConnectTimeout 1m30\n", want: func(r *route) { r.connect, r.exchange = 90*time.Second, 90*time.Second }},
		"no connect timeout":     {text: "ConnectTimeout none\n"},
		"from an address":        {text: "BindAddress 10.0.0.9\nAddressFamily inet\n", want: func(r *route) { r.bind, r.addressFamily = "10.0.0.9", "inet" }},
		"certificates": {text: "CertificateFile ~/a\nCertificateFile ~/%k-%i\nHostKeyAlias gold\n", want: func(r *route) {
			r.certificates, r.name = []string{"/home/op/a", fmt.Sprintf("/home/op/gold-%d", os.Getuid())}, "gold:22"
		}},
		"said before a match we cannot judge": {text: "Host 10.0.0.1\nUser a\nPort 7\nIdentityFile ~/k\nMatch exec x\nUser b\nPort 8\nIdentityFile ~/l\n", want: func(r *route) {
			r.user, r.address, r.name, r.identities, r.chosen = "a", "10.0.0.1:7", "10.0.0.1:7", []string{"/home/op/k"}, true
		}},
		"said in the spec": {config: Config{User: "x", IdentityFile: "~/k"}, text: "Match exec x\nUser b\nIdentityFile ~/l\n", want: func(r *route) {
			r.user, r.identities, r.chosen = "x", []string{"/home/op/k"}, true
		}},
		"no command": {text: "ProxyCommand none\n"},
		"explicit fields win": {config: Config{User: "x", Port: 9, IdentityFile: "~/k", KnownHosts: "~/h"}, text: "User a\nPort 1\nIdentityFile /a\nUserKnownHostsFile /b\n",
			want: func(r *route) {
				r.user, r.address, r.name, r.identities, r.chosen, r.knownHosts = "x", "10.0.0.1:9", "10.0.0.1:9", []string{"/home/op/k"}, true, []string{"/home/op/h"}
			}},
		"match":                    {text: "Match host 10.0.* user " + me + "\nPort 7\nMatch originalhost x\nUser a\nMatch !host x\nUser b\n", want: func(r *route) { r.address, r.name, r.user = "10.0.0.1:7", "10.0.0.1:7", "b" }},
		"match all":                {text: "Match final all\nUser a\n", want: func(r *route) { r.user = "a" }},
		"match we cannot judge":    {text: "Match exec \"test -e x\"\nForwardX11 yes\nMatch all\nUser a\n", want: func(r *route) { r.user = "a" }},
		"match we need not":        {text: "Match host other exec \"test -e x\"\nUser a\n"},
		"include":                  {text: "Host 10.0.0.1\nInclude DIR/none* DIR/../x/none\nUser a\n", want: func(r *route) { r.user = "a" }},
		"unknown keys are skipped": {text: "UseKeychain yes\nStrictHostKeyChecking no\n"},
	} {
		t.Run(name, func(t *testing.T) {
			want := defaults()
			if test.want != nil {
				test.want(&want)
			}
			got, err := routeTo(t, test.config, test.text)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, cmp.AllowUnexported(route{}, target{})); d != "" {
				t.Error(d)
			}
		})
	}
}

// What an included file says holds where the Include stands, and its Host lines
// end with it.
func TestInclude(t *testing.T) {
	folder := t.TempDir()
	for file, text := range map[string]string{"one": "Port 7\nHost other\nUser a\n", "config": "Host 10.0.0.2\nInclude one\nHost 10.0.0.1\nInclude o*\nUser b\n", "loop": "Include loop\n"} {
		if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := New(Config{SSHConfig: filepath.Join(folder, "config")}).route(t.Context(), target{host: "10.0.0.1"})
	if err != nil || r.user != "b" || r.address != "10.0.0.1:7" {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = New(Config{SSHConfig: filepath.Join(folder, "loop")}).route(t.Context(), target{host: "10.0.0.1"})
	if !errors.Is(err, ErrSetup) {
		t.Error(err)
	}
}

func TestRouteErrors(t *testing.T) {
	for text, want := range map[string]string{
		"Host *\nUser \"a\n":                ":2: a quote is not closed",
		"Port 70000\n":                      ":1: port",
		"ProxyCommand nc %h %p\n":           ":1: ProxyCommand",
		"Match exec x\n\nUser a\n":          ":3 sets User, but pleiad cannot evaluate the Match at",
		"ConnectTimeout soon\n":             ":1: ConnectTimeout",
		"BindAddress eth0\n":                ":1: BindAddress",
		"ProxyJump me@\n":                   "ProxyJump",
		"Include [\n":                       "Include",
		"Match tagged x\nProxyJump bastion": "cannot evaluate",
	} {
		_, err := routeTo(t, Config{}, text)
		if !errors.Is(err, ErrSetup) || !fault.Lasting(err) || !strings.Contains(err.Error(), want) || len(fault.Remedy(err)) == 0 {
			t.Errorf("%q: %v, %q; want %q", text, err, fault.Remedy(err), want)
		}
	}
}

// Who does what a remedy says gets on.
func TestRouteRemedies(t *testing.T) {
	const text = "Match exec x\nIdentityFile ~/l\n"
	_, err := routeTo(t, Config{Section: "hosts.ec2"}, text)
	remedy := strings.Join(fault.Remedy(err), "\n")
	if !strings.Contains(remedy, "Host 10.0.0.1, and below that IdentityFile") || !strings.Contains(remedy, "identityFile: under hosts.ec2") {
		t.Errorf("%v: %s", err, remedy)
	}
	if _, err := routeTo(t, Config{}, "Host 10.0.0.1\nIdentityFile ~/k\n"+text); err != nil {
		t.Errorf("said before: %v", err)
	}
	if _, err := routeTo(t, Config{IdentityFile: "~/k"}, text); err != nil {
		t.Errorf("said in the spec: %v", err)
	}
	_, err = routeTo(t, Config{}, "ProxyCommand nc %h %p\n")
	if remedy := strings.Join(fault.Remedy(err), "\n"); !strings.Contains(remedy, "Host 10.0.0.1, ProxyCommand none") {
		t.Errorf("%v: %s", err, remedy)
	}
	if _, err := routeTo(t, Config{}, "Host 10.0.0.1\nProxyCommand none\nHost *\nProxyCommand nc %h %p\n"); err != nil {
		t.Errorf("no command for this host: %v", err)
	}
	for text, want := range map[string]string{"ProxyCommand nc\nProxyJump a\n": "ProxyCommand"} { // ssh would take the command
		if _, err := routeTo(t, Config{}, text); !errors.Is(err, ErrSetup) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A chain of jump hosts that leads back to itself is found before dialling.
func TestJumpLoop(t *testing.T) {
	p := New(Config{SSHConfig: filepath.Join(t.TempDir(), "config")})
	defer p.Close()
	if err := os.WriteFile(p.config.SSHConfig, []byte("Host *\nProxyJump bastion\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := p.lineTo(target{host: "10.0.0.1"}).dial(t.Context())
	if !errors.Is(err, ErrSetup) || !strings.Contains(err.Error(), "leads back") {
		t.Error(err)
	}
}

func FuzzSettings(f *testing.F) {
	f.Add("Host a\nUser \"b\\\"\"\nMatch exec x host y\nIdentityFile=z\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToLower(text), "include") {
			return // it may name any file of this machine
		}
		file := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := readSettings(t.Context(), []string{file}, "a", "", spoken{})
		if err != nil {
			return
		}
		for key, v := range s.first {
			if len(v.args) == 0 {
				t.Errorf("%q: %s without a value", text, key)
			}
		}
	})
}
