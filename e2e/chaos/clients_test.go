package chaos

import (
	"context"
	"net"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/discovery/etcdclient"
	"github.com/pleiad-etcd/pleiad/e2e/chaos/register"
	"github.com/pleiad-etcd/pleiad/e2e/site"
	"github.com/pleiad-etcd/pleiad/e2e/writer"
)

// users is how many clients use the registers.
const users = 5

// clients are those of the cluster. The ones that use registers know its domain,
// and the one that writes knows all machines.
type clients struct {
	*world
	load   *register.Load
	last   *etcdclient.Client
	diary  *writer.Writer
	config writer.Config
}

func (w *world) startClients() *clients {
	w.Helper()
	c := &clients{world: w}
	var stores []register.Store
	for range users {
		stores = append(stores, register.Etcd{KV: w.client()})
	}
	c.last = w.client()
	c.load = register.Start(register.Config{
		Seed: *seed, Prefix: "/register/", Every: 40 * time.Millisecond, Timeout: 2 * time.Second, Uses: 200,
	}, stores...)
	c.config = writer.Config{TLS: w.tls(), Dial: w.Dial, Prefix: "/diary/", Every: 20 * time.Millisecond}
	for _, h := range w.Hosts {
		c.config.Endpoints = append(c.config.Endpoints, "https://"+net.JoinHostPort(h.Addr.String(), "2379"))
	}
	var err error
	c.diary, err = writer.Start(c.config)
	w.ok(err)
	w.Cleanup(func() { c.diary.Stop() })
	c.await()
	return c
}

func (w *world) tls() transport.TLSInfo {
	pki := filepath.Join(w.operator.StateDir, site.Cluster, "pki")
	return transport.TLSInfo{
		TrustedCAFile: filepath.Join(pki, "client-ca.crt"),
		CertFile:      filepath.Join(pki, "operator.crt"), KeyFile: filepath.Join(pki, "operator.key"),
	}
}

// client finds the cluster by its domain.
func (w *world) client() *etcdclient.Client {
	w.Helper()
	tls, err := w.tls().ClientConfig()
	w.ok(err)
	client, err := etcdclient.New(w.Context(), site.Domain, clientv3.Config{
		TLS: tls, Logger: zap.NewNop(),
		DialKeepAliveTime: 5 * time.Second, DialKeepAliveTimeout: 2 * time.Second,
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return w.Dial(ctx, "tcp", address)
		})},
	}, discovery.WithResolver(w.Resolver()))
	w.ok(err)
	w.Cleanup(func() { _ = client.Close() }) // says only that it was cancelled
	return client
}

// await waits until all kinds of clients are served.
func (c *clients) await() {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	c.ok(c.load.Await(ctx, 20))
	c.ok(c.diary.Await(ctx, 20))
}

// check ends the clients, and looks at all that they were told.
func (c *clients) check() {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), roundLimit)
	defer cancel()
	history, err := c.load.Stop(ctx, register.Etcd{KV: c.last})
	c.ok(err)
	begun := time.Now()
	if err := history.Check(); err != nil {
		c.Error(err)
	}
	c.Logf("registers: %d operations acknowledged, %d doubtful; decided in %s",
		history.Acknowledged(), history.Doubtful(), time.Since(begun).Round(10*time.Millisecond))
	tally := c.diary.Stop()
	c.Logf("writes: %s", tally)
	who, err := c.standing(ctx)
	c.ok(err)
	for _, h := range who.machines[:len(who.names)] {
		alone := c.config
		alone.Endpoints = []string{"https://" + net.JoinHostPort(h.Addr.String(), "2379")}
		if err := tally.Check(ctx, alone); err != nil {
			c.Errorf("%s: %v", h.Name, err)
		}
	}
}
