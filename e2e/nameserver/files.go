package nameserver

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"text/template"

	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

//go:embed conf
var conf embed.FS

// file is the name of a server's configuration, "" for a kind that is none.
func (k Kind) file() string {
	return map[Kind]string{BIND: "named.conf", Knot: "knot.conf", PowerDNS: "pdns.conf"}[k]
}

// values are what the files of a server are filled with.
type values struct {
	Config
	Key     tsig.Key
	Keys    []tsig.Key      // Key and those that are only known
	Primary *netip.AddrPort // of a secondary
}

// write writes some of the files in conf; primary is nil for a primary.
func (s *Server) write(primary *netip.AddrPort, names ...string) error {
	if err := os.MkdirAll(s.config.Dir, 0o700); err != nil {
		return err
	}
	all, err := template.New("").Funcs(template.FuncMap{"secret": secret}).ParseFS(conf, "conf/*")
	if err != nil {
		return err
	}
	for _, name := range names {
		var text bytes.Buffer
		if err := all.ExecuteTemplate(&text, name, values{s.config, s.Key(), s.keys, primary}); err != nil {
			return err
		}
		if err := os.WriteFile(s.path(name), text.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// secret in base64, which a key gives away only in the text of its file.
func secret(k tsig.Key) string { return strings.Split(string(k.Encode()), `"`)[3] }

// fill makes PowerDNS's database. The keys go in through the database and not
// through pdnsutil, which would want them on its command line.
func (s *Server) fill(ctx context.Context) error {
	tables, err := os.ReadFile("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
	if err != nil {
		return err
	}
	for _, k := range s.keys {
		tables = fmt.Appendf(tables, "insert into tsigkeys (name, algorithm, secret) values ('%s', 'hmac-sha256', '%s');\n",
			strings.TrimSuffix(k.Name(), "."), secret(k))
	}
	if err := said(ctx, tables, "sqlite3", s.path("pdns.sqlite3")); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"load-zone", s.config.Zone, s.path("zone")},
		{"set-meta", s.config.Zone, "TSIG-ALLOW-DNSUPDATE", KeyName},
		{"set-meta", s.config.Zone, "TSIG-ALLOW-AXFR", KeyName},
	} {
		if err := said(ctx, nil, "pdnsutil", append([]string{"--config-dir=" + s.config.Dir}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// said runs a program on some input; its error holds what the program said.
func said(ctx context.Context, input []byte, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = bytes.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
