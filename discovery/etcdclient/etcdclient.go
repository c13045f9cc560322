// Package etcdclient makes etcd clients (clientv3) that find their cluster in
// DNS SRV records and follow it while members come and go.
//
// [New] is the one function. What it returns is used like any clientv3 client:
//
//	client, err := etcdclient.New(ctx, "example.com", clientv3.Config{TLS: tlsConfig})
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	_, err = client.Put(ctx, "key", "value")
//
// # How to use it well
//
// Give it the cluster's own CA (clientv3.Config.TLS.RootCAs) and not the
// system's: the host that a certificate must be valid for is named by DNS, see
// [discovery.Endpoint.TLSConfig].
//
// Let the records lead: take a member out of the client records before it is
// stopped, and the clients leave it in time.
//
// # Why not clientv3's AutoSync
//
// clientv3 can ask the cluster for its members (Config.AutoSyncInterval). That
// needs no DNS and learns of a new member at once. But it needs a quorum and
// one endpoint that still works, so a client that was cut off while the
// members were exchanged never finds back; it replaces the endpoints by the
// members' advertised client URLs, which must then be reachable from where the
// client is; and it keeps sending requests to members that were taken out of
// DNS so that they can be stopped. The two would also undo each other's work,
// so New refuses AutoSyncInterval.
//
// # What it promises
//
//   - Endpoints are only ever replaced by a set that DNS has answered in full.
//     On errors, and on answers that there are no records, they stay as they
//     are.
//   - It never speaks without TLS unless told to ([discovery.PlainOnly]),
//     whatever DNS says, and each member must prove that it is the host that
//     its record names.
//   - Hosts are resolved through the same resolver as the records
//     ([discovery.WithResolver]), afresh at each connection: a host that moves
//     to another address is found there. A member that was away is tried again
//     at least every 10 seconds; gRPC by itself lets that grow to 2 minutes.
//   - When no member can be reached, DNS is asked at once and not only at the
//     next interval: so a client finds the new members also if all were
//     exchanged within one.
//   - Close leaves no goroutine behind.
package etcdclient

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"

	"github.com/pleiad-etcd/pleiad/discovery"
)

// Client is a clientv3 client whose endpoints follow DNS. Changing the
// endpoints by hand (SetEndpoints, Sync) lasts until the records change.
type Client struct {
	*clientv3.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex // held while endpoints are compared and set
}

// New looks up the cluster of a domain and returns a client of it. The options
// are those of package discovery; without [discovery.PlainOnly] the cluster
// must be published with TLS.
//
// ctx bounds New itself, not the life of the client; for that there is
// config.Context, as ever. New fails with a *[discovery.Error] inside if the
// cluster cannot be found; it does not wait for a connection, but with a
// user name and password it logs in.
//
// config must have neither Endpoints nor AutoSyncInterval, and TLS only if the
// cluster is to use it; without TLS, the system's CAs are trusted. TLS.ServerName
// has no effect, for each member is verified by its own host name. Some
// DialOptions are set, and options of config win over them: the dialer (which
// ignores proxy variables), the connection backoff, and no idle timeout.
// Failed lookups and changed endpoints are logged to config.Logger or
// config.LogConfig.
func New(ctx context.Context, domain string, config clientv3.Config, opts ...discovery.Option) (*Client, error) {
	c, err := open(ctx, domain, config, append([]discovery.Option{discovery.TLSOnly()}, opts...))
	if err != nil {
		return nil, fmt.Errorf("new etcd client for %q: %w", domain, err)
	}
	return c, nil
}

func open(ctx context.Context, domain string, config clientv3.Config, opts []discovery.Option) (*Client, error) {
	if len(config.Endpoints) > 0 || config.AutoSyncInterval != 0 {
		return nil, errors.New("config.Endpoints and config.AutoSyncInterval must be empty: the endpoints come from DNS")
	}
	cluster, err := discovery.Lookup(ctx, domain, opts...)
	if err != nil {
		return nil, err
	}
	if config.TLS != nil && !cluster.Endpoints[0].TLS {
		return nil, errors.New("config.TLS is set, but discovery.PlainOnly asks for a cluster without TLS")
	}
	config.Endpoints = cluster.URLs()
	config.DialOptions = append(dialOptions(opts), config.DialOptions...)
	c, err := connect(ctx, config)
	if err != nil {
		return nil, err
	}
	c.wg.Go(func() { c.follow(domain, opts) })
	c.wg.Go(func() { c.seek(domain, opts) })
	return c, nil
}

// dialOptions are ours; those of the caller come after them and so win.
func dialOptions(opts []discovery.Option) []grpc.DialOption {
	dial := discovery.Dialer(opts...)
	retry := backoff.DefaultConfig
	retry.MaxDelay = 10 * time.Second
	return []grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dial(ctx, "tcp", address)
		}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: 5 * time.Second}),
		// An idle channel would rebuild clientv3's resolver on the next call,
		// which reads the endpoints without a lock while follow sets them.
		grpc.WithIdleTimeout(0),
	}
}

// connect makes the client. clientv3.New may log in, and knows no context but
// that of the whole life of the client; so this ends with ctx until it is done.
func connect(ctx context.Context, config clientv3.Config) (*Client, error) {
	life := config.Context
	if life == nil {
		life = context.Background()
	}
	life, cancel := context.WithCancel(life)
	config.Context = life
	detach := context.AfterFunc(ctx, cancel)
	client, err := clientv3.New(config)
	if err != nil {
		detach()
		cancel()
		return nil, err
	}
	if !detach() {
		_ = client.Close() // says that it was cancelled
		return nil, context.Cause(ctx)
	}
	// For the same reason as no idle timeout: build the resolver now.
	client.ActiveConnection().Connect()
	return &Client{Client: client, cancel: cancel}, nil
}

// follow keeps the endpoints as DNS says, until the client is closed.
func (c *Client) follow(domain string, opts []discovery.Option) {
	for cluster, err := range discovery.Watch(c.Ctx(), domain, opts...) {
		c.take(cluster, err)
	}
}

// firstPause is how long after the first lookup of seek the second one comes.
const firstPause = time.Second

// seek looks the endpoints up at once when no member can be reached, instead of at
// the next interval: all members that were known may have been exchanged since. It
// asks again, ever more slowly, for as long as that lasts.
func (c *Client) seek(domain string, opts []discovery.Option) {
	conn := c.ActiveConnection()
	for pause := firstPause; ; {
		state := conn.GetState()
		if state == connectivity.TransientFailure {
			c.take(discovery.Lookup(c.Ctx(), domain, opts...))
			select {
			case <-c.Ctx().Done():
				return
			case <-time.After(pause + rand.N(pause/10)): // not in step with the others
			}
			pause = min(2*pause, discovery.DefaultInterval)
			continue
		}
		if state == connectivity.Ready {
			pause = firstPause
		}
		if !conn.WaitForStateChange(c.Ctx(), state) {
			return
		}
	}
}

// take sets the endpoints that were found, if there are others than before.
func (c *Client) take(cluster discovery.Cluster, err error) {
	if c.Ctx().Err() != nil {
		return
	}
	log := c.GetLogger()
	if err != nil {
		log.Warn("look up etcd endpoints; keeping those there are", zap.Error(err))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	urls := cluster.URLs()
	if slices.Equal(urls, c.Endpoints()) {
		return
	}
	c.SetEndpoints(urls...)
	log.Info("etcd endpoints changed in DNS", zap.Strings("endpoints", urls))
}

// Close closes the client and waits until nothing looks up its endpoints any
// more. Closing only the clientv3.Client inside ends the lookups too, but does
// not wait for it.
func (c *Client) Close() error {
	err := c.Client.Close()
	c.cancel()
	c.wg.Wait()
	return err
}
