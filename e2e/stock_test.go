package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
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

// Debian's etcdctl 3.4 finds the cluster through resolv.conf and SRV, and
// verifies certificates against the discovery domain.
func TestStockEtcdctl(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "stock")
	b.put("stock", "from", "pleiad")
	pki := filepath.Join(b.state, "stock", "pki")
	etcdctl := func(args ...string) string {
		t.Helper()
		args = append([]string{"--discovery-srv", "stock.test", "--insecure-discovery=false",
			"--cacert", filepath.Join(pki, "client-ca.crt"), "--cert", filepath.Join(pki, "operator.crt"), "--key", filepath.Join(pki, "operator.key")}, args...)
		cmd := b.withResolver("stock", "etcdctl", args...)
		cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("etcdctl %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := etcdctl("get", "from", "--print-value-only"); out != "pleiad\n" {
		t.Errorf("get: %q", out)
	}
	if out := etcdctl("put", "back", "stock"); out != "OK\n" {
		t.Errorf("put: %q", out)
	}
	b.wantValue("stock", "back", "stock")
}

// Debian's Prometheus finds all members by dns_sd_configs and scrapes them.
func TestStockPrometheus(t *testing.T) {
	b := newBed(t)
	b.must("up", "--cluster", "prom")
	pki := filepath.Join(b.state, "prom", "pki")
	dir := t.TempDir()
	config := fmt.Sprintf(`global: {scrape_interval: 1s}
scrape_configs:
- job_name: etcd
  scheme: https
  tls_config: {ca_file: %[1]s/client-ca.crt, cert_file: %[1]s/operator.crt, key_file: %[1]s/operator.key}
  dns_sd_configs:
  - {names: [_etcd-client-ssl._tcp.prom.test], type: SRV, refresh_interval: 1s}
`, pki)
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
