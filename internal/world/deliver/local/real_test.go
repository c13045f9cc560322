package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/local"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
	hostslocal "github.com/pleiad-etcd/pleiad/internal/world/hosts/local"
)

func realMember(config string) error { return member.Run(context.Background(), config, "", os.Stderr) }

// nameServer answers from a list of records, and from nothing once it is closed.
func nameServer(t *testing.T, records []string) (address string, closeServer func()) {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all []dns.RR
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rr)
	}
	up := make(chan struct{})
	s := &dns.Server{PacketConn: udp, NotifyStartedFunc: func() { close(up) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		var a dns.Msg
		a.SetRcode(q, dns.RcodeNameError)
		for _, rr := range all {
			if rr.Header().Name == dns.CanonicalName(q.Question[0].Name) {
				a.Rcode = dns.RcodeSuccess
				if rr.Header().Rrtype == q.Question[0].Qtype {
					a.Answer = append(a.Answer, rr)
				}
			}
		}
		_ = w.WriteMsg(&a) // who went away asks again
	})}
	var group sync.WaitGroup
	group.Go(func() { _ = s.ActivateAndServe() }) // ends with Shutdown
	<-up
	closeServer = sync.OnceFunc(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		group.Wait()
	})
	t.Cleanup(closeServer)
	return udp.LocalAddr().String(), closeServer
}

// trio is a cluster of three real members.
type trio struct {
	*testing.T
	spec     cluster.Spec
	provider *hostslocal.Provider
	d        *local.Deliverer
	hosts    []cluster.Host
}

func newTrio(t *testing.T) *trio {
	root := filepath.Join(t.TempDir(), "dev")
	c := &trio{T: t, spec: cluster.Spec{Cluster: "dev", Domain: "dev.test", Members: 3}, d: local.New(command("member"), cluster.Program{})}
	var err error
	if c.provider, err = hostslocal.New(root, "dev"); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		c.hosts = append(c.hosts, newHost(t, root, cluster.MemberName(fmt.Sprintf("etcd-bbbbbb%d", i+2))))
		t.Cleanup(func() { end(t, c.hosts[i]) })
	}
	return c
}

func (c *trio) records() (list []string) {
	for _, h := range c.hosts {
		list = append(list, fmt.Sprintf("%s. 60 IN A %s", c.spec.HostName(h.Name), h.Address),
			fmt.Sprintf("%s 60 IN SRV 0 0 %d %s.", c.spec.ServerService(), h.Ports.Peer, c.spec.HostName(h.Name)))
	}
	return list
}

func (c *trio) install(phase cluster.Phase, resolver string) {
	c.Helper()
	c.atOnce(func(h cluster.Host) error {
		n := node.Render(c.spec, cluster.Marker{Cluster: "dev", Token: token, Phase: phase}, c.hosts, h, resolver)
		return c.d.Install(c.Context(), h, n, nil, false)
	})
}

// start starts one member after the other and waits until all are healthy.
func (c *trio) start() {
	c.Helper()
	began := time.Now()
	for _, h := range c.hosts {
		if err := c.d.Start(c.Context(), h); err != nil {
			c.Fatal(err)
		}
		c.Logf("%s is up after %s", h.Name, time.Since(began).Round(time.Millisecond))
	}
	for _, h := range c.hosts {
		for !healthy(c.Context(), h) {
			if c.Context().Err() != nil {
				c.Fatalf("%s is not healthy", h.Name)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	c.Logf("all are healthy after %s", time.Since(began).Round(time.Millisecond))
}

func healthy(ctx context.Context, h cluster.Host) bool {
	url := fmt.Sprintf("http://%s/health", netip.AddrPortFrom(h.Address, h.Ports.Metrics))
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return false
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	return err == nil && strings.Contains(string(b), `"health":"true"`)
}

// stop stops one member politely, while the others still have a quorum, and
// then those by force: without anybody to hand over to, etcd takes seconds.
func (c *trio) stop() {
	c.Helper()
	if err := c.d.Stop(c.Context(), c.hosts[0], 10*time.Second); err != nil {
		c.Fatal(err)
	}
	c.atOnce(func(h cluster.Host) error { return c.d.Stop(c.Context(), h, 0) })
}

func (c *trio) atOnce(act func(cluster.Host) error) {
	c.Helper()
	errs := make([]error, len(c.hosts))
	var group sync.WaitGroup
	for i, h := range c.hosts {
		group.Go(func() { errs[i] = act(h) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		c.Fatal(err)
	}
}

// One life of a cluster with real members: first start through DNS, stop, and
// start again without any DNS.
func TestRealMembers(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	resolver, closeServer := nameServer(t, c.records())
	c.install(cluster.Bootstrapping, resolver)
	c.start()
	if err := c.provider.Terminate(t.Context(), c.hosts[0], hosts.DeleteData); !errors.Is(err, hosts.ErrBusy) {
		t.Errorf("Terminate under a running member: %v, want ErrBusy", err)
	}
	closeServer()
	c.install(cluster.Sealed, resolver)
	c.stop()
	for _, h := range c.hosts {
		n, err := c.d.Inspect(t.Context(), h)
		if err != nil || n.Process.Running || !n.Data.Present || !n.Data.Born {
			t.Errorf("after Stop %s is %+v, %v, want data and no process", h.Name, n, err)
		}
	}
	c.start()
	var log bytes.Buffer
	if err := c.d.Logs(t.Context(), c.hosts[0], false, &log); err != nil || !strings.Contains(log.String(), "ready to serve client requests") {
		t.Errorf("Logs: %v, %d bytes, want etcd's", err, log.Len())
	}
	c.stop()
	for _, h := range c.hosts {
		if err := c.provider.Terminate(t.Context(), h, hosts.DeleteData); err != nil {
			t.Error(err)
		}
	}
	if l, err := c.provider.List(t.Context()); err != nil || len(l.Hosts) != 0 {
		t.Errorf("List = %v, %v, want none", l, err)
	}
}
