package dnsservers

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/e2e/nameserver"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

const domain = "c1.twindb.com"

// page is a page of docs/ for one make of server.
type page struct {
	file string
	kind nameserver.Kind
	zone string
	// folders of the page; here all their files are in the server's one.
	folders []string
	// denied are sets that the key must not be able to write, granted ones
	// that it can although they are not the cluster's.
	denied, granted []cluster.RecordSet
}

func pages() []page {
	a := func(name string) cluster.RecordSet { return cluster.NewRecordSet(name, cluster.A, "192.0.2.80") }
	text := func(name string) cluster.RecordSet { return cluster.NewRecordSet(name, cluster.TXT, "theirs") }
	srv := func(name string) cluster.RecordSet {
		return cluster.NewRecordSet(name, cluster.SRV, "0 0 80 www.twindb.com.")
	}
	return []page{
		{
			file: "dns-bind.md", kind: nameserver.BIND, zone: "twindb.com",
			folders: []string{"/etc/bind", "/var/cache/bind", "/var/lib/bind"},
			denied: []cluster.RecordSet{
				a("www.twindb.com."), a("twindb.com."), a("ns1.twindb.com."), a("etcd-k3v9qd2m.c2.twindb.com."), a("xc1.twindb.com."),
				a("c1.twindb.com."), text("c1.twindb.com."), text("www.c1.twindb.com."), srv("_http._tcp.c1.twindb.com."),
			},
			granted: []cluster.RecordSet{a("www.c1.twindb.com.")},
		},
		{
			file: "dns-knot.md", kind: nameserver.Knot, zone: "twindb.com",
			folders: []string{"/etc/knot", "/run/knot", "/var/lib/knot"},
			denied: []cluster.RecordSet{
				a("www.twindb.com."), a("twindb.com."), a("ns1.twindb.com."), a("etcd-k3v9qd2m.c2.twindb.com."), a("xc1.twindb.com."),
				a("c1.twindb.com."), text("c1.twindb.com."),
			},
			granted: []cluster.RecordSet{a("www.c1.twindb.com."), text("www.c1.twindb.com."), srv("_http._tcp.c1.twindb.com.")},
		},
		{
			file: "dns-powerdns.md", kind: nameserver.PowerDNS, zone: domain,
			folders: []string{"/etc/powerdns", "/var/lib/powerdns"},
			granted: []cluster.RecordSet{a("www.c1.twindb.com."), text("c1.twindb.com."), srv("_http._tcp.c1.twindb.com.")},
		},
	}
}

// The configurations of docs/ as they are printed there, with other addresses,
// folders and secrets, do what the page says they do.
func TestPages(t *testing.T) {
	for _, p := range pages() {
		t.Run(p.file, func(t *testing.T) {
			c := config(t, p.kind, p.zone)
			key := p.install(t, c)
			b := start(t, c, nameserver.Existing(c), key)
			b.changesOurs(t)
			b.refuses(t, p)
			b.keepsOthersOut(t)
			if p.kind == nameserver.PowerDNS {
				b.keepsOtherZones(t)
				b.seesTheDatabase(t)
			}
		})
	}
}

// install writes the page's files, runs its commands, and returns its key.
func (p page) install(t *testing.T, c nameserver.Config) tsig.Key {
	t.Helper()
	fresh := secretOf(generate(t, "pleiad"))
	swap := []string{"10.5.1.2", c.At.Addr().String(), "10.5.0.0/16", "127.0.0.0/8"}
	for _, folder := range append(p.folders, "/etc/pleiad") {
		swap = append(swap, folder, c.Dir)
	}
	var key tsig.Key
	for _, block := range blocks(t, p.file) {
		text := strings.NewReplacer(append(swap, "SECRET", fresh)...).Replace(block.text)
		if strings.HasPrefix(text, "key \"pleiad\"") {
			var err error
			if key, err = tsig.Parse([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		switch {
		case block.path == "sh":
			fresh = p.shell(t, c.Dir, text)
		case strings.HasPrefix(block.path, "/"):
			if err := os.WriteFile(filepath.Join(c.Dir, filepath.Base(block.path)), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if key == (tsig.Key{}) {
		t.Fatal("the page has no key")
	}
	return key
}

// shell runs a page's commands and returns the secret that they have made.
func (p page) shell(t *testing.T, dir, text string) string {
	t.Helper()
	script := "set -eu; pdnsutil() { command pdnsutil --config-dir=" + dir + " \"$@\"; }\n" + text + "pdnsutil list-tsig-keys\n"
	out, err := exec.CommandContext(t.Context(), "sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("the page's commands: %v\n%s", err, out)
	}
	secret := regexp.MustCompile(`(?m)^pleiad\. hmac-sha256\. (\S+)$`).FindSubmatch(out)
	if secret == nil {
		t.Fatalf("the page's commands make no key:\n%s", out)
	}
	return string(secret[1])
}

func secretOf(k tsig.Key) string {
	_, rest, _ := strings.Cut(string(k.Encode()), "secret \"")
	secret, _, _ := strings.Cut(rest, "\"")
	return secret
}

// block is what a page prints, indented, and the file or program that the
// sentence before it names last.
type block struct{ path, text string }

func blocks(t *testing.T, file string) []block {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", file))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(/[^`]+|sh)`")
	var out []block
	before := ""
	for _, paragraph := range strings.Split(string(raw), "\n\n") {
		if !strings.HasPrefix(paragraph, "    ") {
			before = paragraph
			continue
		}
		b := block{text: strings.ReplaceAll("\n"+paragraph, "\n    ", "\n")[1:] + "\n"}
		if all := named.FindAllStringSubmatch(before, -1); all != nil {
			b.path = all[len(all)-1][1]
		}
		out = append(out, b)
	}
	if len(out) < 4 {
		t.Fatalf("%s has only %d blocks", file, len(out))
	}
	return out
}

// changesOurs makes, changes and deletes every record set of a cluster, and
// reads each time what it wrote.
func (b *bed) changesOurs(t *testing.T) {
	t.Helper()
	spec, zone := cluster.Spec{Domain: domain, TLS: true}, b.open(t, b.Zone, b.ours)
	host := spec.HostName("etcd-k3v9qd2m") + "."
	var add, replace, remove []cluster.Change
	for name, values := range map[cluster.Key][2]string{
		{Name: spec.MarkerName(), Type: cluster.TXT}:       {"v=1 gen=1", "v=1 gen=2"},
		{Name: spec.ServerService(), Type: cluster.SRV}:    {"0 0 2380 " + host, "0 0 2381 " + host},
		{Name: spec.ClientService(), Type: cluster.SRV}:    {"0 0 2379 " + host, "0 0 2381 " + host},
		{Name: spec.RivalServices()[0], Type: cluster.SRV}: {"0 0 2380 " + host, "0 0 2381 " + host},
		{Name: spec.RivalServices()[1], Type: cluster.SRV}: {"0 0 2379 " + host, "0 0 2381 " + host},
		{Name: host, Type: cluster.A}:                      {"192.0.2.1", "192.0.2.2"},
		{Name: host, Type: cluster.AAAA}:                   {"2001:db8::1", "2001:db8::2"},
	} {
		one, two := cluster.NewRecordSet(name.Name, name.Type, values[0]), cluster.NewRecordSet(name.Name, name.Type, values[1])
		add = append(add, cluster.Change{Key: name, New: &one})
		replace = append(replace, cluster.Change{Key: name, Old: &one, New: &two})
		remove = append(remove, cluster.Change{Key: name, Old: &two})
	}
	for _, changes := range [][]cluster.Change{add, replace, remove} {
		if _, err := dns.Guard(spec, zone).Apply(t.Context(), changes); err != nil {
			t.Fatalf("change our names: %v", err)
		}
		var keys []cluster.Key
		for _, c := range changes {
			keys = append(keys, c.Key)
		}
		got, err := zone.Read(t.Context(), keys)
		if err != nil {
			t.Fatalf("read our names: %v", err)
		}
		if diff := cmp.Diff(cluster.Records{}.With(changes), got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("our names after a change (-want +got):\n%s", diff)
		}
	}
}

// refuses tries what the page says is refused, and what it admits is not.
func (b *bed) refuses(t *testing.T, p page) {
	t.Helper()
	zone := b.open(t, b.Zone, b.ours)
	for _, set := range p.denied {
		if _, err := zone.Apply(t.Context(), []cluster.Change{{Key: set.Key, New: &set}}); !errors.Is(err, dns.ErrDenied) {
			t.Errorf("write %s: %v, want %v", set, err, dns.ErrDenied)
		}
	}
	for _, set := range p.granted {
		if _, err := zone.Apply(t.Context(), []cluster.Change{{Key: set.Key, New: &set}}); err != nil {
			t.Errorf("write %s, which the page says is possible: %v", set, err)
		}
	}
	mail := &wire.MX{Hdr: wire.RR_Header{Name: "mail." + domain + ".", Rrtype: wire.TypeMX, Class: wire.ClassINET, Ttl: 60}, Mx: "mail.twindb.com."}
	m := new(wire.Msg).SetUpdate(wire.Fqdn(b.Zone))
	m.Insert([]wire.RR{mail})
	if refused := send(t, b.Addr().String(), b.ours, m).Rcode != wire.RcodeSuccess; refused != (p.kind != nameserver.PowerDNS) {
		t.Errorf("write an MX below the domain: refused is %v", refused)
	}
}

// keepsOthersOut tries all without a key, and a transfer with ours.
func (b *bed) keepsOthersOut(t *testing.T) {
	t.Helper()
	set := cluster.NewRecordSet("etcd-k3v9qd2m."+domain+".", cluster.A, "192.0.2.1")
	if rcode := b.write(t, tsig.Key{}, b.Zone, set); rcode == wire.RcodeSuccess {
		t.Error("an unsigned update is accepted")
	}
	if got := b.lookUp(t, "udp", set.Name); len(got) != 0 {
		t.Errorf("an unsigned update was refused, and yet there is %v", got)
	}
	if rcode := b.write(t, b.ours, b.Zone, set); rcode != wire.RcodeSuccess {
		t.Fatalf("write %s: %s", set, wire.RcodeToString[rcode])
	}
	for _, network := range []string{"udp", "tcp"} {
		if got := b.lookUp(t, network, set.Name); len(got) != 1 {
			t.Errorf("%s over %s without a key: %v", set.Name, network, got)
		}
	}
	for _, key := range []tsig.Key{b.ours, {}} {
		m := new(wire.Msg).SetAxfr(wire.Fqdn(b.Zone))
		if answer := send(t, b.Addr().String(), key, m); answer.Rcode == wire.RcodeSuccess || len(answer.Answer) > 0 {
			t.Errorf("a transfer with %s: %v", key, answer)
		}
	}
}

// keepsOtherZones tries the key, and no key, on a second zone of the server.
// PowerDNS takes unsigned updates of a zone that names no key, unless it is
// told from where.
func (b *bed) keepsOtherZones(t *testing.T) {
	t.Helper()
	b.pdnsutil(t, "create-zone", "twindb.com", "ns1.twindb.com")
	set := cluster.NewRecordSet("www.twindb.com.", cluster.A, "192.0.2.80")
	for _, key := range []tsig.Key{b.ours, {}} {
		if rcode := b.write(t, key, "twindb.com", set); rcode != wire.RcodeRefused {
			t.Errorf("write to another zone with %s: %s", key, wire.RcodeToString[rcode])
		}
	}
}

// seesTheDatabase asks for a name before and after somebody writes it beside
// the server.
func (b *bed) seesTheDatabase(t *testing.T) {
	t.Helper()
	name := "theirs." + domain + "."
	if got := b.lookUp(t, "tcp", name); len(got) != 0 {
		t.Fatalf("before: %v", got)
	}
	b.pdnsutil(t, "add-record", domain, "theirs", "A", "192.0.2.80")
	if got := b.lookUp(t, "tcp", name); len(got) != 1 {
		t.Errorf("what was written to the database is not read: %v", got)
	}
}

func (b *bed) pdnsutil(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "pdnsutil", append([]string{"--config-dir=" + b.Dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("pdnsutil %v: %v\n%s", args, err, out)
	}
}
