package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

// withResolver is a command in a mount namespace of its own whose resolv.conf
// names the cluster's name server, which as root also listens on port 53.
func (b *bed) withResolver(cluster, program string, args ...string) *exec.Cmd {
	b.Helper()
	host, _, err := net.SplitHostPort(b.server(cluster))
	if err != nil {
		b.Fatal(err)
	}
	conf := filepath.Join(b.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver "+host+"\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	script := `mount --bind "$1" "$(readlink -f /etc/resolv.conf)" && shift && exec "$@"`
	return exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, "sh", conf, program}, args...)...)
}

// certificate is one of `pleiad certificate` and what it printed for each client,
// with addresses, and what it would have printed for a cluster whose names every
// resolver knows.
type certificate struct {
	files          render.CertificateFiles
	printed, bySRV map[string]string
}

func (b *bed) certificate(cluster, domain, name, folder string, flags ...string) certificate {
	b.Helper()
	var v render.Certificate
	r := b.must(append([]string{"certificate", name, "--cluster", cluster, "--to", folder, "--output", "json"}, flags...)...)
	if err := json.Unmarshal([]byte(r.out), &v); err != nil {
		b.Fatal(err)
	}
	texts := func(settings []render.Setting) map[string]string {
		out := map[string]string{}
		for _, s := range settings {
			out[s.Client] = strings.Join(s.Lines, "\n") + "\n"
		}
		return out
	}
	return certificate{files: v.Files, printed: texts(v.Settings),
		bySRV: texts(v.Files.Settings(render.Finder{Domain: domain, Service: "_etcd-client-ssl._tcp." + domain + "."}, v.User != ""))}
}

// Debian's etcdctl 3.4 finds the cluster through resolv.conf and SRV, and
// verifies certificates against the discovery domain. What is printed for it
// works as it is; the certificate opens no peer port, and no certificate of a
// member opens a client port.
func TestStockEtcdctl(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "stock")
	b.put("stock", "from", "pleiad")
	cert := b.certificate("stock", "stock.test", "app", t.TempDir())
	for what, line := range map[string]string{"by address": cert.printed["etcdctl"], "by SRV": cert.bySRV["etcdctl"]} {
		etcdctl := func(args string) string {
			t.Helper()
			out, err := b.withResolver("stock", "sh", "-c", strings.Replace(line, "get KEY", args, 1)).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: etcdctl %s: %v\n%s", what, args, err, out)
			}
			return string(out)
		}
		if out := etcdctl("get from --print-value-only"); out != "pleiad\n" {
			t.Errorf("%s: get: %q", what, out)
		}
		if out := etcdctl("put back stock"); out != "OK\n" {
			t.Errorf("%s: put: %q", what, out)
		}
		b.wantValue("stock", "back", "stock")
	}
	members, _ := b.children("stock")
	var host struct {
		Address string
		Ports   struct{ Peer, Client int }
	}
	readJSON(b, filepath.Join(members[0].dir, "host.json"), &host)
	pki := filepath.Join(members[0].dir, "config", "pki")
	ask := func(cert, key string, port int, path string) error {
		url := fmt.Sprintf("https://%s:%d%s", host.Address, port, path)
		out, err := exec.Command("curl", "-sS", "-k", "--http1.1", "-m", "10", "--cert", cert, "--key", key, url).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	peer, server := filepath.Join(pki, "peer"), filepath.Join(pki, "server")
	for _, c := range []struct {
		what, cert, key string
		peer, client    bool
	}{
		{"an application's certificate", cert.files.Cert, cert.files.Key, false, true},
		{"a member's peer certificate", peer + ".crt", peer + ".key", true, false},
		{"a member's server certificate", server + ".crt", server + ".key", false, false},
	} {
		if err := ask(c.cert, c.key, host.Ports.Peer, "/members"); (err == nil) != c.peer {
			t.Errorf("%s on the peer port: %v, want accepted: %t", c.what, err, c.peer)
		}
		if err := ask(c.cert, c.key, host.Ports.Client, "/version"); (err == nil) != c.client {
			t.Errorf("%s on the client port: %v, want accepted: %t", c.what, err, c.client)
		}
	}
}

// Debian's Prometheus finds all members by dns_sd_configs and scrapes them.
func TestStockPrometheus(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "prom")
	cert := b.certificate("prom", "prom.test", "prometheus", t.TempDir())
	dir := t.TempDir()
	config := "global: {scrape_interval: 1s}\n" + strings.Replace(cert.bySRV["Prometheus"], "type: SRV", "type: SRV, refresh_interval: 1s", 1)
	if first := cert.printed["Prometheus"]; !strings.Contains(first, "static_configs") {
		t.Errorf("for a cluster on this machine it prints %q, want its addresses", first)
	}
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	const listen = "127.0.0.1:29090"
	cmd := b.withResolver("prom", "prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+listen)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	last := ""
	defer func() {
		if t.Failed() {
			out, _ := os.ReadFile(log.Name())
			t.Logf("last answer: %s\nlog:\n%s", last, out)
		}
	}()
	b.eventually("prometheus scrapes three members", time.Minute, func() bool {
		resp, err := http.Get("http://" + listen + "/api/v1/query?query=etcd_server_has_leader")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		last = string(body)
		var answer struct {
			Data struct{ Result []struct{ Value []any } }
		}
		if json.Unmarshal(body, &answer) != nil || len(answer.Data.Result) != 3 {
			return false
		}
		for _, r := range answer.Data.Result {
			if len(r.Value) != 2 || r.Value[1] != "1" {
				return false
			}
		}
		return true
	})
}

// Debian's Patroni keeps its leader in the cluster, found by SRV without etcd's
// authentication, and by address with it.
func TestStockPatroni(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "pat")
	dir := t.TempDir()
	cert := b.certificate("pat", "pat.test", "patroni", filepath.Join(dir, "etcd"), "--no-user")
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	account, err := user.Lookup("postgres")
	if err != nil || len(bins) == 0 {
		t.Fatalf("no PostgreSQL: %v, %q", err, bins)
	}
	config := func(etcd3 string) string {
		return fmt.Sprintf(`scope: e2e
name: one
restapi: {listen: "127.0.0.1:28008", connect_address: "127.0.0.1:28008"}
%sbootstrap:
  dcs: {ttl: 20, loop_wait: 1, retry_timeout: 3}
  initdb: [{encoding: UTF8}]
  pg_hba: [local all all trust, host all all 127.0.0.1/32 trust]
postgresql:
  listen: 127.0.0.1:25432
  connect_address: 127.0.0.1:25432
  data_dir: %[2]s/data
  bin_dir: %[3]s
  pgpass: %[2]s/pgpass
  parameters: {unix_socket_directories: %[2]s, fsync: "off"}
  authentication: {superuser: {username: postgres, password: x}, replication: {username: replicator, password: x}}
`, etcd3, dir, filepath.Dir(bins[0]))
	}
	// The parent of t.TempDir is closed to others.
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	open := func() {
		t.Helper()
		if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
			t.Fatal(err)
		}
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, uid, gid))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	leads := func(etcd3 string) {
		t.Helper()
		file := filepath.Join(dir, "patroni.yml")
		if err := os.WriteFile(file, []byte(config(etcd3)), 0o600); err != nil {
			t.Fatal(err)
		}
		open()
		cmd := b.withResolver("pat", "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "env", "-C", dir, "HOME="+dir, "patroni", file)
		log, err := os.Create(filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = cmd.Wait() // it is told to end
		}()
		defer func() {
			_ = cmd.Process.Signal(syscall.SIGTERM) // and takes PostgreSQL with it
			select {
			case <-ended:
			case <-time.After(time.Minute):
				_ = cmd.Process.Kill()
				<-ended
				t.Error("Patroni does not end")
			}
			if t.Failed() {
				out, _ := os.ReadFile(log.Name())
				t.Logf("log of Patroni:\n%s", out)
			}
		}()
		b.eventually("Patroni leads", 90*time.Second, func() bool {
			resp, err := http.Get("http://127.0.0.1:28008/primary")
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
		b.wantValue("pat", "/service/e2e/leader", "one")
		// It leads before it has entered itself as a member. Told to end in
		// between, it waits for ever for the leave to lead.
		b.eventually("Patroni is a member", time.Minute, func() bool {
			return b.must("etcdctl", "--cluster", "pat", "--", "get", "/service/e2e/members/one", "--print-value-only").out != ""
		})
	}
	leads(cert.bySRV["Patroni"])
	etcdctl := func(words string) {
		t.Helper()
		b.must(append([]string{"etcdctl", "--cluster", "pat", "--"}, strings.Fields(words)...)...)
	}
	for _, user := range []string{"root", "pleiad"} {
		etcdctl("user add --no-password " + user)
		etcdctl("user grant-role " + user + " root")
	}
	etcdctl("user add patroni:secret")
	etcdctl("role add patroni")
	etcdctl("role grant-permission patroni readwrite --prefix /service/")
	etcdctl("user grant-role patroni patroni")
	etcdctl("auth enable")
	leads(cert.printed["Patroni"] + "  username: patroni\n  password: secret\n")
	b.must("health", "--cluster", "pat")
	b.must("up", "--cluster", "pat")
}
