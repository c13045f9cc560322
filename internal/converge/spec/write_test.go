package spec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec/option"
)

func TestTemplatesAreValidAndExplainEveryKey(t *testing.T) {
	schema := compileSchema(t)
	hosts, _ := find(keys(), "hosts")
	dns, _ := find(keys(), "dns")
	for _, h := range hosts.keys {
		for _, d := range dns.keys {
			if h.name != "local" && d.name == "embedded" {
				continue // they do not go together
			}
			text, err := Template(h.name, d.name, "")
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "init", h.name+"-"+d.name+".yaml")
			if *rewrite {
				if err := os.WriteFile(golden, text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if diff := cmp.Diff(string(want), string(text)); diff != "" || err != nil {
				t.Errorf("%s: %v (-golden +now):\n%s", golden, err, diff)
			}
			s, err := Parse(FileName, text)
			if err != nil {
				t.Fatalf("%s, %s:\n%s\n%v", h.name, d.name, text, err)
			}
			if !h.picked(s) || !d.picked(s) {
				t.Errorf("the template for %s and %s asks for other providers:\n%s", h.name, d.name, text)
			}
			if v := verdict(schema, text); v != "schema: takes it\n" {
				t.Errorf("%s, %s: %s", h.name, d.name, v)
			}
			for _, k := range slices.Concat(keys(), etcdKeys(), h.keys, d.keys) {
				shown := regexp.MustCompile(`(?m)^ *(# )?` + k.name + `:( |$)`).Match(text)
				if fits := !k.hidden && (k.fits == nil || k.fits(s)); fits != shown {
					t.Errorf("the template for %s and %s shows %s: %t", h.name, d.name, k.name, shown)
				}
			}
			for n, line := range strings.Split(string(text), "\n") {
				if len(line) > 80 {
					t.Errorf("line %d of the template for %s and %s is %d characters long", n+1, h.name, d.name, len(line))
				}
			}
			// What is commented out works once it is not.
			s, err = Parse(FileName, uncommented(text))
			if err != nil {
				t.Fatalf("with its examples the template for %s and %s says %v", h.name, d.name, err)
			}
			if left := bytes.Count(Encode(s), []byte("\n")); left < len(examples(text)) {
				t.Errorf("with its examples the template for %s and %s asks for no more than\n%s", h.name, d.name, Encode(s))
			}
		}
	}
}

// examples are the lines of a template that show a key which is not set.
func examples(template []byte) []string {
	var samples []string
	var collect func(keys []key)
	collect = func(keys []key) {
		for _, k := range keys {
			samples = append(samples, sample(k)...)
			collect(k.keys)
		}
	}
	collect(keys())
	var found []string
	for _, line := range strings.Split(string(template), "\n") {
		if _, text, comment := strings.Cut(line, "# "); comment && slices.Contains(samples, text) {
			found = append(found, line)
		}
	}
	return found
}

// uncommented is a template with all its examples in force.
func uncommented(template []byte) []byte {
	text := string(template)
	for _, line := range examples(template) {
		text = strings.Replace(text, line, strings.Replace(line, "# ", "", 1), 1)
	}
	if strings.Contains(text, "\n  release:") {
		text = strings.Replace(text, "source: bundled", "source: release", 1)
	}
	return []byte(text)
}

func TestTemplateFitsTheHosts(t *testing.T) {
	for _, tt := range []struct{ hosts, dns, want string }{
		{"local", "", "embedded"},
		{"ssh", "", "rfc2136"},
		{"ec2", "", "cloudflare"},
		{"ssh", "embedded", "--dns embedded: a name server on this machine alone, which hosts of kind ssh do not ask; expected rfc2136, cloudflare or route53"},
		{"ec2", "embedded", "--dns embedded: a name server on this machine alone, which hosts of kind ec2 do not ask; expected rfc2136, cloudflare or route53"},
		{"moon", "", "--hosts moon: unknown; expected local or ssh or ec2"},
	} {
		text, err := Template(tt.hosts, tt.dns, "")
		if err != nil {
			if err.Error() != tt.want {
				t.Errorf("%s, %q: %v", tt.hosts, tt.dns, err)
			}
			continue
		}
		if want, err := Template(tt.hosts, tt.want, ""); err != nil || !bytes.Equal(text, want) {
			t.Errorf("%s, %q: not the template for %s (%v):\n%s", tt.hosts, tt.dns, tt.want, err, text)
		}
	}
}

func TestTemplateNamesWhatThereIs(t *testing.T) {
	_, err := Template("moon", "hosts-file", "")
	want := "--hosts moon: unknown; expected local or ssh or ec2\n--dns hosts-file: unknown; expected embedded or rfc2136 or cloudflare or route53"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestSchemaHasTheKeysOfTheParser(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	var compare func(path string, k key, s map[string]any)
	compare = func(path string, k key, s map[string]any) {
		if s["description"] != k.doc || k.doc == "" {
			t.Errorf("%s is described as %q, want %q", path, s["description"], k.doc)
		}
		if forms, _ := s["anyOf"].([]any); len(forms) == 2 { // a word, or its settings
			s, _ = forms[1].(map[string]any)
		}
		properties, _ := s["properties"].(map[string]any)
		known := names(k.keys)
		for _, sub := range k.keys {
			if sub.hidden {
				known = append(known, sub.name)
			}
		}
		if k.kind == options {
			known = option.Names()
		}
		for _, name := range known {
			sub, ok := properties[name].(map[string]any)
			if !ok {
				t.Errorf("the schema lacks %s.%s", path, name)
			} else if k.kind != options {
				child, _ := find(k.keys, name)
				compare(path+"."+name, child, sub)
			}
		}
		if len(properties) != len(known) || k.kind > list && s["additionalProperties"] != false {
			t.Errorf("%s: the schema knows %d keys, the parser %d", path, len(properties), len(known))
		}
	}
	compare("", key{kind: group, keys: keys(), doc: "Spec of one etcd cluster: pleiad.yaml of pleiad."}, root)
}

func drawSpec(t *rapid.T) cluster.Spec {
	label := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?`)
	s := Default()
	s.Cluster = cluster.Name(rapid.OneOf(label, rapid.SampledFrom([]string{"null", "true", "1e3", "0x1f", "007", "off", "no", "y", "12-05", "inf"})).Draw(t, "cluster"))
	s.Domain = label.Draw(t, "host") + "." + rapid.StringMatching(`[a-z][a-z0-9]{0,8}`).Draw(t, "tld")
	s.DiscoveryName = rapid.OneOf(rapid.Just(""), label).Draw(t, "discoveryName")
	s.Members = rapid.SampledFrom([]int{1, 3, 5, 7, 9}).Draw(t, "members")
	s.TLS = rapid.Bool().Draw(t, "tls")
	if rapid.Bool().Draw(t, "rfc2136") {
		s.DNS = cluster.DNSSpec{RFC2136: &cluster.RFC2136DNS{
			Server:  rapid.SampledFrom([]string{"10.5.1.2:53", "[2001:db8::1]:5353", "ns1.example.com:53", "ns:1"}).Draw(t, "server"),
			Zone:    s.Domain,
			KeyFile: "/" + rapid.StringMatching(`[ -~äß日:#'"\\{}]{0,20}`).Draw(t, "keyFile"),
		}}
	}
	if s.DNS.RFC2136 == nil && rapid.Bool().Draw(t, "cloudflare") {
		s.DNS = cluster.DNSSpec{Cloudflare: &cluster.CloudflareDNS{
			Zone:      rapid.SampledFrom([]string{"", s.Domain}).Draw(t, "zone"),
			TokenFile: rapid.SampledFrom([]string{"", "/run/secrets/cloudflare", "/a file"}).Draw(t, "tokenFile"),
			Endpoint:  rapid.SampledFrom([]string{"", "http://127.0.0.1:8080/client/v4", "https://api.test"}).Draw(t, "endpoint"),
		}}
	}
	if s.DNS.Embedded != nil && rapid.Bool().Draw(t, "route53") {
		s.DNS = cluster.DNSSpec{Route53: &cluster.Route53DNS{
			Zone:     rapid.SampledFrom([]string{"", s.Domain}).Draw(t, "zone"),
			ZoneID:   rapid.SampledFrom([]string{"", "Z0123456789ABCDEFGHIJ", "Z1"}).Draw(t, "zoneID"),
			Region:   rapid.SampledFrom([]string{"", "us-gov-west-1"}).Draw(t, "region"),
			Profile:  rapid.SampledFrom([]string{"", "etcd", "null", "a b.c@d/e"}).Draw(t, "profile"),
			Endpoint: rapid.SampledFrom([]string{"", "http://127.0.0.1:8080", "https://api.test"}).Draw(t, "endpoint"),
		}}
	}
	if kind := rapid.SampledFrom([]string{"local", "ssh", "ec2"}).Draw(t, "hosts"); s.DNS.Embedded == nil && kind != "local" {
		s.Hosts = cluster.HostsSpec{SSH: drawSSH(t, s.Members)}
		if kind == "ec2" {
			s.Hosts = cluster.HostsSpec{EC2: drawEC2(t)}
		}
		if rapid.Bool().Draw(t, "release") {
			s.Etcd.Source, s.Etcd.Release = "release", drawRelease(t)
		}
	}
	s.Etcd.Options = rapid.MapOfN(rapid.SampledFrom([]string{"host-whitelist", "distributed-tracing-address", "distributed-tracing-service-name"}),
		rapid.OneOf(rapid.StringMatching(`[ -~äß日]{0,20}`), rapid.SampledFrom([]string{"", " ", "true", "TRUE", "1", "01", "0x1", "1_0", "-1", "+1", "1.5", ".inf", "~", "null", "2026-11-23", "12:30:00", "*", "&a", "!x", "- a", "? a", "a: b", "a #b", "'", "''", "\"", "8589934592", "99999999999999999999"})), 0, 3).Draw(t, "options")
	if len(s.Etcd.Options) == 0 {
		s.Etcd.Options = nil
	}
	return s
}

// drawnFiles are paths that may be left out, and those that may begin at home: any
// text of one line.
func drawnFiles() (file, atHome *rapid.Generator[string]) {
	path := rapid.StringMatching(`[ -~äß日:#'"\\{}]{1,20}`)
	file = rapid.OneOf(rapid.Just(""), rapid.Map(path, func(p string) string { return "/" + p }))
	return file, rapid.OneOf(file, rapid.Map(path, func(p string) string { return "~/" + p }))
}

func drawnUsers() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"", "root", "jo@example.com", "null", "0", `LAB\jo`, "y"})
}

func drawBinaries(t *rapid.T) map[string]string {
	file, _ := drawnFiles()
	binaries := map[string]string{}
	for _, arch := range architectures() {
		if f := file.Draw(t, arch); f != "" {
			binaries[arch] = f
		}
	}
	if len(binaries) == 0 {
		return nil
	}
	return binaries
}

// drawEC2 draws what may be said of instances.
func drawEC2(t *rapid.T) *cluster.EC2Hosts {
	_, atHome := drawnFiles()
	ids := func(prefix string) *rapid.Generator[string] {
		return rapid.StringMatching(prefix + `-([0-9a-f]{8}|[0-9a-f]{17})`)
	}
	list := func(of *rapid.Generator[string], name string) []string {
		return rapid.SliceOfNDistinct(of, 1, 4, rapid.ID).Draw(t, name)
	}
	return &cluster.EC2Hosts{
		Region:         rapid.SampledFrom([]string{"us-east-1", "us-gov-west-1", "eusc-de-east-1", "no-no-1"}).Draw(t, "region"),
		Image:          ids("ami").Draw(t, "image"),
		InstanceTypes:  list(rapid.SampledFrom([]string{"m6i.large", "u-6tb1.112xlarge", "mac2-m2pro.metal", "x1e.32xlarge", "t3.micro"}), "types"),
		Subnets:        list(ids("subnet"), "subnets"),
		SecurityGroups: list(ids("sg"), "groups"),
		KeyName:        rapid.OneOf(rapid.StringMatching(`[!-~]([ -~]{0,20}[!-~])?`), rapid.SampledFrom([]string{"null", "yes", "007", "1e3"})).Draw(t, "keyName"),
		Profile:        rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[A-Za-z0-9_+=,.@-]{1,20}`)).Draw(t, "profile"),
		Volume:         rapid.IntRange(0, maxVolume).Draw(t, "volume"),
		Login:          rapid.SampledFrom([]string{"private", "public"}).Draw(t, "login"),
		User:           drawnUsers().Draw(t, "user"),
		Port:           rapid.Uint16().Draw(t, "port"),
		IdentityFile:   atHome.Draw(t, "identityFile"),
		Jump:           rapid.SampledFrom([]string{"", "bastion", "jo@10.0.0.1:22,[2001:db8::1]:2222", "ssh://a@b:1", "none", "1.5"}).Draw(t, "jump"),
		Binaries:       drawBinaries(t),
		Endpoint:       rapid.SampledFrom([]string{"", "http://127.0.0.1:8080", "https://api.test/ec2"}).Draw(t, "endpoint"),
	}
}

// drawSSH draws what may be said of machines.
func drawSSH(t *rapid.T, members int) *cluster.SSHHosts {
	_, atHome := drawnFiles()
	v4 := rapid.Map(rapid.SliceOfN(rapid.Byte(), 3, 3), func(b []byte) netip.Addr { return netip.AddrFrom4([4]byte{10, b[0], b[1], b[2]}) })
	v6 := rapid.Map(rapid.SliceOfN(rapid.Byte(), 14, 14), func(b []byte) netip.Addr {
		return netip.AddrFrom16([16]byte(append([]byte{0x20, 0x01}, b...)))
	})
	h := &cluster.SSHHosts{
		Addresses:    rapid.SliceOfNDistinct(rapid.OneOf(v4, v6), members, 12, rapid.ID).Draw(t, "addresses"),
		User:         drawnUsers().Draw(t, "user"),
		Port:         rapid.Uint16().Draw(t, "port"),
		IdentityFile: atHome.Draw(t, "identityFile"),
		KnownHosts:   atHome.Draw(t, "knownHosts"),
		DataDevice:   rapid.SampledFrom([]string{"", "/dev/vdb", "/dev/disk/by-id/a:b", `/dev/disk/by-label/a\x20b`, "/dev/#"}).Draw(t, "dataDevice"),
	}
	digest := rapid.Map(rapid.SliceOfN(rapid.Byte(), 32, 32), func(b []byte) string { return "SHA256:" + base64.RawStdEncoding.EncodeToString(b) })
	h.Fingerprints = rapid.OneOf(rapid.Just([]string(nil)), rapid.SliceOfNDistinct(digest, 1, 3, rapid.ID)).Draw(t, "fingerprints")
	h.Binaries = drawBinaries(t)
	return h
}

func drawRelease(t *rapid.T) *cluster.EtcdRelease {
	digest := rapid.OneOf(rapid.StringMatching(`[0-9a-f]{64}`), rapid.StringMatching(`[0-9]{64}`), rapid.StringMatching(`[0-9]{31}e[0-9]{32}`))
	return &cluster.EtcdRelease{
		Version: rapid.StringMatching(`3\.[67]\.(0|[1-9][0-9]{0,2})`).Draw(t, "version"),
		BaseURL: rapid.SampledFrom([]string{officialReleases, "http://10.5.1.2:8080", "http://[2001:db8::1]/etcd", "https://m.test/a:/b", "https://m.test/it's/{x}"}).Draw(t, "baseURL"),
		SHA256:  rapid.MapOfN(rapid.SampledFrom(architectures()), digest, 1, 2).Draw(t, "sha256"),
	}
}

// byValue compares addresses, which hide what they are.
var byValue = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestEncodedSpecIsReadBack(t *testing.T) {
	schema := compileSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		want := drawSpec(t)
		text := Encode(want)
		got, err := Parse(FileName, text)
		if err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		if diff := cmp.Diff(want, got, byValue); diff != "" {
			t.Fatalf("%s\n-written +read:\n%s", text, diff)
		}
		if v := verdict(schema, text); v != "schema: takes it\n" {
			t.Fatalf("%s\n%s", text, v)
		}
	})
}

// A template for Chef shows its settings in place of the word.
func TestTemplateForChef(t *testing.T) {
	text, err := Template("ssh", "rfc2136", "chef")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(FileName, text)
	if err != nil || s.Chef == nil || *s.Chef != *usualChef() {
		t.Errorf("Parse: %v, %+v; want Chef as usual of\n%s", err, s.Chef, text)
	}
	for _, k := range chefKeys() {
		if !regexp.MustCompile(`(?m)^ *(# )?` + k.name + `:( |$)`).Match(text) {
			t.Errorf("the template does not show %s:\n%s", k.name, text)
		}
	}
	for hosts, word := range map[string]string{"local": "chef", "ssh": "local"} {
		if _, err := Template(hosts, "", word); err == nil {
			t.Errorf("Template for %s, delivered by %s: nil, want an error", hosts, word)
		}
	}
}
