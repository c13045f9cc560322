package daemon

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// The time to live of denials is short, so that a resolver in front of a test
// soon asks again.
const zoneFile = `$TTL 60
@ IN SOA ns1 hostmaster ( 1 3600 600 86400 5 )
@ IN NS ns1
ns1 IN A {{.Addr}}
`

const namedConf = `{{range keys .}}{{printf "%s" .Encode}}{{end}}
options {
  directory "{{.Dir}}"; pid-file "named.pid"; session-keyfile "session.key"; managed-keys-directory ".";
  listen-on port {{.Port}} { {{.Addr}}; }; listen-on-v6 { none; };
  recursion no; notify no; dnssec-validation no; empty-zones-enable no;
  allow-transfer { key {{name .Key}}; };
};
controls { };
zone "{{.Zone}}" {
  type primary; file "{{.Zone}}.zone";
  update-policy { grant {{name .Key}} subdomain {{.Grant}}. A AAAA SRV TXT; };
};
`

// The default of the journal's size is more than a test's machine may have.
const knotConf = `server:
    rundir: "{{.Dir}}"
    listen: {{.Addr}}@{{.Port}}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{{.Dir}}"
    journal-db-max-size: 20M
key:
{{range keys .}}  - id: {{name .}}
    algorithm: hmac-sha256
    secret: {{secret .}}
{{end}}acl:
  - id: update
    key: {{name .Key}}
    action: update
    update-type: [A, AAAA, SRV, TXT]
    update-owner: name
    update-owner-match: sub-or-equal
    update-owner-name: [{{.Grant}}.]
  - id: transfer
    key: {{name .Key}}
    action: transfer
zone:
  - domain: {{.Zone}}
    storage: "{{.Dir}}"
    file: "{{.Zone}}.zone"
    acl: [update, transfer]
    zonefile-load: difference-no-serial
    journal-content: all
`

const pdnsConf = `launch=gsqlite3
gsqlite3-database={{.Dir}}/pdns.sqlite3
local-address={{.Addr}}
local-port={{.Port}}
dnsupdate=yes
allow-dnsupdate-from=127.0.0.0/8
allow-axfr-ips=
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
`

// files are what a server reads, by name.
func files(kind Kind) map[string]string {
	switch kind {
	case BIND:
		return map[string]string{"named.conf": namedConf, "{{.Zone}}.zone": zoneFile}
	case Knot:
		return map[string]string{"knot.conf": knotConf, "{{.Zone}}.zone": zoneFile}
	}
	return map[string]string{"pdns.conf": pdnsConf}
}

func write(c Config, files map[string]string) error {
	for name, text := range files {
		if err := writeFile(c, name, text); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(c Config, name, text string) error {
	name, err := fill(c, name)
	if err != nil {
		return err
	}
	if text, err = fill(c, text); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.Dir, name), []byte(text), 0o600)
}

func fill(c Config, text string) (string, error) {
	t, err := template.New("").Funcs(template.FuncMap{"keys": keys, "name": name, "secret": secret}).Parse(text)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = t.Execute(&out, c)
	return out.String(), err
}

func keys(c Config) []tsig.Key { return append([]tsig.Key{c.Key}, c.Known...) }

func name(k tsig.Key) string { return strings.TrimSuffix(k.Name(), ".") }

// secret is the base64 between the last two quotes of a key's file.
func secret(k tsig.Key) string {
	parts := bytes.Split(k.Encode(), []byte(`"`))
	return string(parts[len(parts)-2])
}

// database is PowerDNS's zone and keys. A secret goes to the database through
// standard input: pdnsutil would take it as an argument, for all to see.
func database(ctx context.Context, c Config) error {
	tables, err := os.ReadFile("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
	if err != nil {
		return err
	}
	for _, k := range keys(c) {
		tables = fmt.Appendf(tables, "INSERT INTO tsigkeys (name, algorithm, secret) VALUES ('%s', 'hmac-sha256', '%s');\n", name(k), secret(k))
	}
	cmd := exec.CommandContext(ctx, "sqlite3", filepath.Join(c.Dir, "pdns.sqlite3"))
	cmd.Stdin = bytes.NewReader(tables)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make database: %w: %s", err, out)
	}
	for _, args := range [][]string{
		{"create-zone", c.Zone, "ns1." + c.Zone},
		{"replace-rrset", c.Zone, "@", "SOA", "60", "ns1." + c.Zone + " hostmaster." + c.Zone + " 1 3600 600 86400 5"},
		{"add-record", c.Zone, "ns1", "A", c.Addr.String()},
		{"set-meta", c.Zone, "TSIG-ALLOW-DNSUPDATE", name(c.Key)},
		{"set-meta", c.Zone, "TSIG-ALLOW-AXFR", name(c.Key)},
	} {
		cmd := exec.CommandContext(ctx, "pdnsutil", append([]string{"--config-dir=" + c.Dir}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("pdnsutil %s: %w: %s", args[0], err, out)
		}
	}
	return nil
}
