package nameserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// bind: the server itself refuses whatever is outside the grant.
func (s *Server) bind() string {
	return fmt.Sprintf(`include %[1]q;
options {
	directory %[2]q;
	pid-file "named.pid";
	session-keyfile "session.key";
	managed-keys-directory ".";
	listen-on port %[3]d { %[4]s; };
	listen-on-v6 { none; };
	recursion no;
	allow-query { %[5]s; };
	allow-transfer { key %[6]q; };
	notify no;
	dnssec-validation no;
	empty-zones-enable no;
};
controls { };
zone %[7]q {
	type primary;
	file "zone";
	update-policy { grant %[6]s subdomain %[8]s A AAAA SRV TXT; };
};
`, s.KeyFile(), s.config.Dir, s.config.At.Port(), s.config.At.Addr(), s.config.Clients, KeyName, s.config.Zone, s.config.Domain)
}

// knot: the journal's default bound is far larger than a test needs.
func (s *Server) knot() string {
	return fmt.Sprintf(`server:
    rundir: %[1]q
    listen: %[2]s@%[3]d
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "%[1]s/db"
    journal-db-max-size: 50M
    timer-db-max-size: 10M
    kasp-db-max-size: 10M
    catalog-db-max-size: 10M
log:
  - target: stderr
    any: info
key:
  - id: %[4]s
    algorithm: hmac-sha256
    secret: %[5]s
acl:
  - id: pleiad
    address: %[6]s
    key: %[4]s
    action: [update, transfer]
    update-type: [A, AAAA, SRV, TXT]
    update-owner: name
    update-owner-match: sub-or-equal
    update-owner-name: [%[7]s]
zone:
  - domain: %[8]s
    storage: %[1]q
    file: zone
    acl: pleiad
    zonefile-load: difference-no-serial
    journal-content: all
`, s.config.Dir, s.config.At.Addr(), s.config.At.Port(), KeyName, s.secret, s.config.Clients, s.config.Domain, s.config.Zone)
}

// powerDNS: with its caches, reads would lag behind writes by up to a minute.
func (s *Server) powerDNS() string {
	return fmt.Sprintf(`launch=gsqlite3
gsqlite3-database=%[1]s/db.sqlite
gsqlite3-dnssec=yes
local-address=%[2]s
local-port=%[3]d
socket-dir=%[1]s
daemon=no
guardian=no
write-pid=no
disable-syslog=yes
dnsupdate=yes
allow-dnsupdate-from=%[4]s
allow-axfr-ips=
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
`, s.config.Dir, s.config.At.Addr(), s.config.At.Port(), s.config.Clients)
}

// fill makes PowerDNS's database. The key goes in through the database and not
// through pdnsutil, which would want it on its command line.
func (s *Server) fill(ctx context.Context) error {
	schema, err := os.ReadFile("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
	if err != nil {
		return err
	}
	zone := strings.TrimSuffix(s.config.Zone, ".")
	key := fmt.Sprintf("insert into tsigkeys (name, algorithm, secret) values ('%s', 'hmac-sha256', '%s');\n", KeyName, s.secret)
	if err := said(ctx, string(schema)+key, "sqlite3", s.path("db.sqlite")); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"load-zone", zone, s.path("zone")},
		{"set-kind", zone, "primary"},
		{"set-meta", zone, "TSIG-ALLOW-DNSUPDATE", KeyName},
		{"set-meta", zone, "TSIG-ALLOW-AXFR", KeyName},
	} {
		if err := said(ctx, "", "pdnsutil", append([]string{"--config-dir=" + s.config.Dir}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// said runs a program on some input; its error holds what the program said.
func said(ctx context.Context, input, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
