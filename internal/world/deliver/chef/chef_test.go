package chef

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
)

// exit is how a command on a machine ended.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
func (e exit) ExitCode() int { return int(e) }

// scripted answers commands one after the other.
type scripted struct {
	commands []string
	out      string
	err      error
}

func (m *scripted) Run(_ context.Context, command string, stdin io.Reader) ([]byte, error) {
	m.commands = append(m.commands, command)
	return []byte(m.out), m.err
}

func host() cluster.Host {
	return cluster.Host{Name: "etcd-k3v9qd2m", Address: netip.MustParseAddr("192.0.2.11")}
}

// knifeOptions are those of knife bootstrap 18.4 that may follow, as its --help
// prints them, and whether a word goes with each.
var knifeOptions = map[string]bool{"-N": true, "--yes": false, "--ssh-verify-host-key": true, "--no-color": false, "-i": true, "-p": true,
	"--sudo": false, "-c": true, "--bootstrap-product": true, "--bootstrap-url": true, "--policy-name": true, "--policy-group": true, "-r": true}

func TestArgs(t *testing.T) {
	for name, tt := range map[string]struct {
		chef  cluster.Chef
		knife Knife
		want  string
	}{
		"root": {cluster.Chef{}, Knife{User: "root", IdentityFile: "/k"},
			"bootstrap root@192.0.2.11 -N etcd-k3v9qd2m --yes --ssh-verify-host-key always --no-color -i /k --bootstrap-product cinc -r recipe[etcd-server]"},
		"policy": {cluster.Chef{Prefix: "prod-", Product: "chef", InstallURL: "https://x.example/i.sh", PolicyName: "etcd", PolicyGroup: "prod", KnifeConfig: "/c.rb"}, Knife{User: "admin", Port: 2222, IdentityFile: "/k"},
			"bootstrap admin@192.0.2.11 -N prod-etcd-k3v9qd2m --yes --ssh-verify-host-key always --no-color -i /k -p 2222 --sudo -c /c.rb --bootstrap-product chef --bootstrap-url https://x.example/i.sh --policy-name etcd --policy-group prod"},
		"run list": {cluster.Chef{RunList: "recipe[our-etcd]"}, Knife{},
			"bootstrap 192.0.2.11 -N etcd-k3v9qd2m --yes --ssh-verify-host-key always --no-color --sudo --bootstrap-product cinc -r recipe[our-etcd]"},
	} {
		args := New(tt.chef, tt.knife).Args(host())
		if got := strings.Join(args, " "); got != tt.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, tt.want)
		}
		for i := 2; i < len(args); i++ {
			word, known := knifeOptions[args[i]]
			if !known {
				t.Errorf("%s: knife has no option %s", name, args[i])
			}
			if word {
				i++
			}
		}
		if slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, "license") }) {
			t.Errorf("%s: a licence is accepted: %q", name, args)
		}
	}
}

// A machine that a Chef server knows runs its client; another is enrolled by knife,
// which finds the machine's key among those it knows.
func TestServer(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	keys := filepath.Join(t.TempDir(), "known_hosts")
	record := filepath.Join(t.TempDir(), "record")
	if err := os.WriteFile(keys, []byte("192.0.2.11 ssh-ed25519 AAAA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	knife := program(t, `{ echo "$@"; cat "$HOME/.ssh/known_hosts"; } >`+record)
	i := New(cluster.Chef{Way: "server"}, Knife{User: "root", KnownHosts: keys, Command: knife})

	known := &scripted{}
	if err := i.Converge(t.Context(), known, host()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(record); err == nil {
		t.Error("knife enrolled a machine that was known")
	}
	if err := i.Converge(t.Context(), &scripted{err: exit(noNode)}, host()); err != nil {
		t.Error(err)
	}
	said, err := os.ReadFile(record)
	if want := strings.Join(i.Args(host()), " ") + "\n192.0.2.11 ssh-ed25519 AAAA\n"; err != nil || string(said) != want {
		t.Errorf("knife was told %q (%v), want %q", said, err, want)
	}
	knife = program(t, `echo "ERROR: Net::HTTPServerException: 401 Unauthorized"; exit 100`)
	err = New(cluster.Chef{Way: "server"}, Knife{KnownHosts: keys, Command: knife}).Converge(t.Context(), &scripted{err: exit(noNode)}, host())
	if err == nil || !strings.Contains(err.Error(), "401 Unauthorized") {
		t.Errorf("knife fails: %v, want its reason", err)
	}
}

func TestNoKnife(t *testing.T) {
	err := New(cluster.Chef{Way: "server"}, Knife{Command: "knife-that-is-not-there"}).Converge(t.Context(), &scripted{err: exit(noNode)}, host())
	if fault.Remedy(err) == nil || !strings.Contains(err.Error(), "192.0.2.11") {
		t.Errorf("no knife: %v, want a remedy", err)
	}
}

func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "knife")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestChefIsNotReady(t *testing.T) {
	for _, tt := range []struct {
		way  string
		m    scripted
		says string
	}{
		{"local", scripted{err: exit(noClient)}, "there is no chef-client on 192.0.2.11"},
		{"local", scripted{err: exit(noLicence)}, "chef-client on 192.0.2.11 wants its licence"},
		{"server", scripted{err: exit(noClient)}, "there is no chef-client"},
	} {
		err := New(cluster.Chef{Way: tt.way, Client: "chef-client"}, Knife{}).Converge(t.Context(), &tt.m, host())
		if err == nil || !strings.Contains(err.Error(), tt.says) || fault.Remedy(err) == nil {
			t.Errorf("%+v: %v, want %q and a remedy", tt.m.err, err, tt.says)
		}
	}
	knife := program(t, "echo 'ERROR: LicenseAcceptance::LicenseNotAcceptedError: Missing licenses'; exit 100")
	err := New(cluster.Chef{Way: "server"}, Knife{Command: knife}).Converge(t.Context(), &scripted{err: exit(noNode)}, host())
	if err == nil || !strings.Contains(err.Error(), "knife here wants its licence") {
		t.Errorf("knife wants its licence: %v", err)
	}
	lost := errors.New("connection lost")
	if err := New(cluster.Chef{}, Knife{}).Converge(t.Context(), &scripted{err: lost}, host()); !errors.Is(err, lost) {
		t.Errorf("a lost connection: %v, want it as it is", err)
	}
}

// The lines that matter, however much Chef prints.
func TestReason(t *testing.T) {
	failed := `Starting Cinc Client, version 18.2.7
[2026-11-28T10:00:01+00:00] WARN: something else
[2026-11-28T10:00:02+00:00] FATAL: Stacktrace dumped to /var/lib/pleiad-chef/run/cache/chef-stacktrace.out
[2026-11-28T10:00:02+00:00] FATAL: Please provide the contents of the stacktrace.out file if you file a bug report
[2026-11-28T10:00:02+00:00] FATAL: Mixlib::ShellOut::ShellCommandFailed: execute[/x] (etcd-server::default line 80) had an error: Expected process to exit with [0], but received '1'
---- Begin output of /x ----
STDOUT: 
STDERR: cannot create /x: Read-only file system
---- End output of /x ----`
	want := "FATAL: Mixlib::ShellOut::ShellCommandFailed: execute[/x] (etcd-server::default line 80) had an error: Expected process to exit with [0], but received '1'; " +
		"STDERR: cannot create /x: Read-only file system"
	if got := Reason([]byte(failed)); got != want {
		t.Errorf("Reason = %q, want %q", got, want)
	}
	if got := Reason([]byte("one\ntwo\nthree\nfour\n")); got != "two; three; four" {
		t.Errorf("Reason without a reason = %q, want the last lines", got)
	}
	long := Reason(bytes.Repeat([]byte("FATAL: "+strings.Repeat("é", 5000)+"\n"), 1000))
	if len(long) > 2000 || strings.Contains(long, "\n") {
		t.Errorf("the reason is %d bytes long", len(long))
	}
}
