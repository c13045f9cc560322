package hosts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pleiad-etcd/pleiad/e2e/site"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

// stockFolder is where a host holds what stock clients need, for a while.
const stockFolder = "/root/stock"

// stock is Debian's etcdctl on a host, with an operator's certificate.
type stock struct {
	operator
	host *bed.Host
}

// lend puts Debian's etcdctl on a host, until takeBack.
func (o operator) lend(h *bed.Host) stock {
	o.Helper()
	etcdctl, err := exec.LookPath("etcdctl")
	o.ok(err)
	o.on(h, "mkdir -m 700 "+stockFolder)
	for _, file := range []string{etcdctl, o.tls().TrustedCAFile, o.tls().CertFile, o.tls().KeyFile} {
		o.ok(o.copy(o.Context(), h, file))
	}
	o.on(h, "chmod 700 "+stockFolder+"/etcdctl")
	return stock{o, h}
}

func (s stock) takeBack() {
	s.Helper()
	s.on(s.host, "rm -r "+stockFolder)
}

// copy copies a file into a host's stock folder.
func (w *world) copy(ctx context.Context, h *bed.Host, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := w.Command(ctx, "ssh", "-F", w.SSHConfig(), h.Name, fmt.Sprintf("umask 077; cat >%s/%s", stockFolder, filepath.Base(file)))
	cmd.Stdin = f
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s to %s: %w: %s", file, h.Name, err, out)
	}
	return nil
}

// etcdctl finds the cluster by SRV records through the host's own resolver.
func (s stock) etcdctl(args ...string) string {
	s.Helper()
	return s.on(s.host, fmt.Sprintf("cd %s && ETCDCTL_API=3 ./etcdctl --discovery-srv %s --insecure-discovery=false --cacert client-ca.crt --cert operator.crt --key operator.key %s",
		stockFolder, site.Domain, strings.Join(args, " ")))
}
