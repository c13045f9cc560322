package render

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

// Certificate is a client certificate that was issued for an application.
type Certificate struct {
	Cluster string `json:"cluster"`
	Name    string `json:"name"`
	// User is etcd's user that the certificate stands for; empty for none.
	User     string    `json:"user"`
	NotAfter time.Time `json:"notAfter"`
	// Files are its paths.
	Files CertificateFiles `json:"files"`
	// Settings are what to paste into a client's configuration.
	Settings []Setting `json:"settings"`
	// Note is printed above the settings.
	Note []string `json:"-"`
}

// CertificateFiles are the paths of what a client needs.
type CertificateFiles struct {
	CA   string `json:"ca"`
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

// Setting is what to paste for one kind of client, line by line.
type Setting struct {
	Client string   `json:"client"`
	Lines  []string `json:"lines"`
}

// Kind implements Value.
func (Certificate) Kind() string { return "certificate" }

func (c Certificate) text(p *paper) {
	p.line("%s", c.Files.CA)
	p.line("%s", c.Files.Cert)
	p.line("%s", c.Files.Key)
	user := "none"
	if c.User != "" {
		user = c.User
	}
	p.line("valid until %s; etcd user: %s", c.NotAfter.UTC().Format("2006-01-02 15:04 UTC"), user)
	for _, n := range c.Note {
		p.line("%s", n)
	}
	for _, s := range c.Settings {
		p.line("")
		p.line("# %s", s.Client)
		for _, l := range s.Lines {
			p.line("%s", l)
		}
	}
}

// Finder is how clients find the members of a cluster: by SRV records, or, if
// there are Endpoints, by those.
type Finder struct {
	Domain, DiscoveryName string
	// Service is the name of the SRV records, with trailing dot.
	Service string
	// Endpoints are host:port.
	Endpoints []string
}

// Settings are those for etcdctl, Patroni and Prometheus.
func (f CertificateFiles) Settings(by Finder, user bool) []Setting {
	lines := func(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }
	return []Setting{{"etcdctl", lines(f.etcdctl(by))}, {"Patroni", lines(f.patroni(by, user))}, {"Prometheus", lines(f.prometheus(by))}}
}

func (f CertificateFiles) etcdctl(by Finder) string {
	words := []string{"etcdctl"}
	if len(by.Endpoints) > 0 {
		words = append(words, "--endpoints", "https://"+strings.Join(by.Endpoints, ",https://"))
	} else {
		words = append(words, "--discovery-srv", by.Domain, "--insecure-discovery=false")
		if by.DiscoveryName != "" {
			words = append(words, "--discovery-srv-name", by.DiscoveryName)
		}
	}
	for i, w := range words {
		words[i] = shell.Quote(w)
	}
	return "ETCDCTL_API=3 " + strings.Join(words, " ") + " \\\n  --cacert " + shell.Quote(f.CA) + " --cert " + shell.Quote(f.Cert) + " --key " + shell.Quote(f.Key) + " get KEY\n"
}

func (f CertificateFiles) patroni(by Finder, user bool) string {
	var b strings.Builder
	b.WriteString("etcd3:\n")
	if len(by.Endpoints) > 0 {
		b.WriteString("  hosts: " + yamlList(by.Endpoints) + "\n")
	} else {
		b.WriteString("  srv: " + yamlText(by.Domain) + "\n")
		if by.DiscoveryName != "" {
			b.WriteString("  srv_suffix: " + yamlText(by.DiscoveryName) + "\n")
		}
	}
	b.WriteString("  protocol: https\n  cacert: " + yamlText(f.CA) + "\n  cert: " + yamlText(f.Cert) + "\n  key: " + yamlText(f.Key) + "\n")
	if user {
		b.WriteString("  # With etcd's authentication on, Patroni needs a certificate without a user: --no-user\n")
	} else {
		b.WriteString("  # with etcd's authentication on, also username and password\n")
	}
	return b.String()
}

func (f CertificateFiles) prometheus(by Finder) string {
	where := "  static_configs:\n  - targets: " + yamlList(by.Endpoints) + "\n"
	if len(by.Endpoints) == 0 {
		where = "  dns_sd_configs:\n  - {names: " + yamlList([]string{strings.TrimSuffix(by.Service, ".")}) + ", type: SRV}\n"
	}
	return "scrape_configs:\n- job_name: etcd\n  scheme: https\n  tls_config:\n    ca_file: " + yamlText(f.CA) +
		"\n    cert_file: " + yamlText(f.Cert) + "\n    key_file: " + yamlText(f.Key) + "\n" + where
}

func yamlList(items []string) string {
	out := make([]string, len(items))
	for i, item := range items {
		out[i] = yamlText(item)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// yamlText is a text in double quotes: YAML takes a string of JSON for one.
func yamlText(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string can be encoded
	return strings.TrimSuffix(b.String(), "\n")
}
