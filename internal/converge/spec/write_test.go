package spec

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

func TestTemplatesAreValidAndExplainEveryKey(t *testing.T) {
	schema := compileSchema(t)
	hosts, _ := find(keys(), "hosts")
	dns, _ := find(keys(), "dns")
	for _, h := range hosts.keys {
		for _, d := range dns.keys {
			text, err := Template(h.name, d.name)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "init", h.name+"-"+d.name+".yaml")
			if *update {
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
				if !strings.Contains(string(text), "\n"+k.name+":") && !strings.Contains(string(text), " "+k.name+":") {
					t.Errorf("the template for %s and %s does not show %s", h.name, d.name, k.name)
				}
			}
			for n, line := range strings.Split(string(text), "\n") {
				if len(line) > 80 {
					t.Errorf("line %d of the template for %s and %s is %d characters long", n+1, h.name, d.name, len(line))
				}
			}
			// What is commented out works once it is not.
			uncommented := strings.NewReplacer("# discoveryName", "discoveryName", "  # options", "  options", "  #   auto", "    auto").Replace(string(text))
			s, err = Parse(FileName, []byte(uncommented))
			if err != nil || s.DiscoveryName == "" || s.Etcd.Options["auto-compaction-retention"] == "" {
				t.Errorf("with its examples the template for %s and %s gives %+v, %v", h.name, d.name, s, err)
			}
		}
	}
}

func TestTemplateNamesWhatThereIs(t *testing.T) {
	_, err := Template("ec2", "bind")
	want := "--hosts ec2: not in this version yet; expected local\n--dns bind: unknown; expected embedded or rfc2136"
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
		properties, _ := s["properties"].(map[string]any)
		known := names(k.keys)
		if k.kind == options {
			known = node.Options()
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
		if len(properties) != len(known) || k.kind > number && s["additionalProperties"] != false {
			t.Errorf("%s: the schema knows %d keys, the parser %d", path, len(properties), len(known))
		}
	}
	compare("", key{kind: group, keys: keys(), doc: "What is wanted of one etcd cluster: pleiad.yaml of pleiad."}, root)
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
	s.Etcd.Options = rapid.MapOfN(rapid.SampledFrom([]string{"host-whitelist", "distributed-tracing-address", "distributed-tracing-service-name"}),
		rapid.OneOf(rapid.StringMatching(`[ -~äß日]{0,20}`), rapid.SampledFrom([]string{"", " ", "true", "TRUE", "1", "01", "0x1", "1_0", "-1", "+1", "1.5", ".inf", "~", "null", "2026-11-23", "12:30:00", "*", "&a", "!x", "- a", "? a", "a: b", "a #b", "'", "''", "\"", "8589934592", "99999999999999999999"})), 0, 3).Draw(t, "options")
	if len(s.Etcd.Options) == 0 {
		s.Etcd.Options = nil
	}
	return s
}

func TestEncodedSpecIsReadBack(t *testing.T) {
	schema := compileSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		want := drawSpec(t)
		text := Encode(want)
		got, err := Parse(FileName, text)
		if err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n-written +read:\n%s", text, diff)
		}
		if v := verdict(schema, text); v != "schema: takes it\n" {
			t.Fatalf("%s\n%s", text, v)
		}
	})
}
