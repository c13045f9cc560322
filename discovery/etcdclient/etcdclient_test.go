package etcdclient

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/discovery/internal/testdns"
	"github.com/pleiad-etcd/pleiad/discovery/internal/testpki"
)

const (
	sslName   = "_etcd-client-ssl._tcp.lab.test."
	plainName = "_etcd-client._tcp.lab.test."
)

// lab is a name server, a CA and the options to use them.
type lab struct {
	*testdns.Server
	ca   *testpki.CA
	opts []discovery.Option
}

func newLab(t *testing.T, records ...string) *lab {
	t.Helper()
	server, err := testdns.Start(records...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	ca, err := testpki.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &lab{Server: server, ca: ca, opts: []discovery.Option{
		discovery.WithResolver(discovery.NameServer(server.Addr)), discovery.WithInterval(discovery.MinInterval)}}
}

// publish replaces the client SRV record and the host's address.
func (l *lab) publish(t *testing.T, host, port string) {
	t.Helper()
	l.Remove(sslName, host+".")
	if err := l.Add(sslName+" 60 IN SRV 0 0 "+port+" "+host+".", host+". 60 IN A 127.0.0.1"); err != nil {
		t.Fatal(err)
	}
}

// config is that of a client with a certificate of its own.
func (l *lab) config(t *testing.T) clientv3.Config {
	t.Helper()
	leaf, err := l.ca.Leaf("client.lab.test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(leaf.CertFile, leaf.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	return clientv3.Config{Logger: zap.NewNop(), TLS: &tls.Config{RootCAs: l.ca.Pool(), Certificates: []tls.Certificate{pair}}}
}

// startEtcd starts the one member of a cluster, with a certificate for host and
// for nothing else, and returns its client port and how to stop it.
func (l *lab) startEtcd(t *testing.T, data, host string) (port string, stop func()) {
	t.Helper()
	leaf, err := l.ca.Leaf(host)
	if err != nil {
		t.Fatal(err)
	}
	anyPort := func(scheme string) []url.URL { return []url.URL{{Scheme: scheme, Host: "127.0.0.1:0"}} }
	c := embed.NewConfig()
	c.Dir = data
	c.TickMs, c.ElectionMs = 10, 100
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	c.ListenPeerUrls, c.AdvertisePeerUrls = anyPort("http"), anyPort("http")
	c.ListenClientUrls, c.AdvertiseClientUrls = anyPort("https"), anyPort("https")
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.ClientTLSInfo.CertFile, c.ClientTLSInfo.KeyFile = leaf.CertFile, leaf.KeyFile
	c.ClientTLSInfo.TrustedCAFile, c.ClientTLSInfo.ClientCertAuth = l.ca.File, true
	e, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(e.Close)
	t.Cleanup(stop)
	select {
	case <-e.Server.ReadyNotify():
	case err := <-e.Err():
		t.Fatalf("etcd on %s: %v", host, err)
	case <-t.Context().Done():
		t.Fatalf("etcd on %s is not ready", host)
	}
	_, port, err = net.SplitHostPort(e.Clients[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, stop
}

// A real member is found by SRV and TLS; then it moves with its data to another
// host and port, and the client follows.
func TestClientFollowsAMemberThatMoves(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	data := t.TempDir()
	port, stop := l.startEtcd(t, data, "m1.lab.test")
	l.publish(t, "m1.lab.test", port)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client, err := New(ctx, "lab.test", l.config(t), l.opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Put(ctx, "where", "first host"); err != nil {
		t.Fatal(err)
	}

	stop()
	port, _ = l.startEtcd(t, data, "m2.lab.test")
	l.publish(t, "m2.lab.test", port)
	waitForEndpoints(t, ctx, client, "https://m2.lab.test:"+port)
	got, err := client.Get(ctx, "where")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "first host" {
		t.Errorf("read %v, want what was written before the move", got.Kvs)
	}
}

// All members are exchanged long before the next lookup is due. The client looks at
// once, since it reaches nobody, and never while it reaches somebody.
func TestClientSeeksWhenNobodyIsReached(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	data := t.TempDir()
	port, stop := l.startEtcd(t, data, "m1.lab.test")
	l.publish(t, "m1.lab.test", port)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client, err := New(ctx, "lab.test", l.config(t), append(l.opts, discovery.WithInterval(time.Hour))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Put(ctx, "where", "first host"); err != nil {
		t.Fatal(err)
	}
	l.waitFor(t, sslName, 2) // of New, and the first of the watch
	if n := l.asked(sslName); n != 2 {
		t.Errorf("asked %d times while the member was reached, want 2", n)
	}

	stop()
	port, _ = l.startEtcd(t, data, "m2.lab.test")
	l.publish(t, "m2.lab.test", port)
	waitForEndpoints(t, ctx, client, "https://m2.lab.test:"+port)
	if _, err := client.Put(ctx, "where", "second host"); err != nil {
		t.Error(err)
	}
}

func waitForEndpoints(t *testing.T, ctx context.Context, c *Client, want ...string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !slices.Equal(c.Endpoints(), want) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("endpoints are %q, want %q", c.Endpoints(), want)
		}
	}
}

// The records name a host that this member has no certificate for. That the
// certificate is from the right CA, or fits TLS.ServerName, does not help.
func TestClientVerifiesTheHostOfTheRecord(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	port, _ := l.startEtcd(t, t.TempDir(), "m1.lab.test")
	l.publish(t, "other.lab.test", port)
	config := l.config(t)
	config.TLS.ServerName = "m1.lab.test"
	config.MaxUnaryRetries = 1
	client, err := New(t.Context(), "lab.test", config, l.opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	// clientv3's own calls would wait for a connection that never comes.
	kv := etcdserverpb.NewKVClient(client.ActiveConnection())
	_, err = kv.Range(t.Context(), &etcdserverpb.RangeRequest{Key: []byte("key")}, grpc.WaitForReady(false))
	if want := "certificate is valid for m1.lab.test, not other.lab.test"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// An address that was missing when the client was made is found when gRPC
// tries again, through the name server and without a change of the records.
func TestClientResolvesHostsAfresh(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	port, _ := l.startEtcd(t, t.TempDir(), "m1.lab.test")
	l.publish(t, "m1.lab.test", port)
	l.Remove("m1.lab.test.")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client, err := New(ctx, "lab.test", l.config(t), l.opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !slices.Contains(l.Asked(), "udp m1.lab.test. A") {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("asked %q, want the host among it", l.Asked())
		}
	}
	l.publish(t, "m1.lab.test", port)
	if _, err := client.Put(ctx, "key", "value"); err != nil {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	l := newLab(t, plainName+" 60 IN SRV 0 0 2379 m1.lab.test.")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name   string
		ctx    context.Context
		domain string
		config clientv3.Config
		opts   []discovery.Option
		is     error
		text   string
	}{
		{name: "plain records without being asked for", is: discovery.ErrNotFound,
			text: `new etcd client for "lab.test": look up ` + sslName + ": no such records"},
		{name: "TLS for plain records", config: clientv3.Config{TLS: &tls.Config{}}, opts: []discovery.Option{discovery.PlainOnly()},
			text: "config.TLS is set"},
		{name: "endpoints", config: clientv3.Config{Endpoints: []string{"m1:2379"}}, text: "must be empty"},
		{name: "AutoSync", config: clientv3.Config{AutoSyncInterval: time.Minute}, text: "must be empty"},
		{name: "domain", domain: "10.0.0.1", is: discovery.ErrInvalidArgument},
		{name: "context", ctx: canceled, is: context.Canceled},
		{name: "what clientv3 refuses", config: clientv3.Config{Token: "a", Username: "b"},
			opts: []discovery.Option{discovery.PlainOnly()}, is: clientv3.ErrMutuallyExclusiveCfg},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.ctx == nil {
				tt.ctx = t.Context()
			}
			if tt.domain == "" {
				tt.domain = "lab.test"
			}
			c, err := New(tt.ctx, tt.domain, tt.config, append(l.opts, tt.opts...)...)
			if err == nil {
				c.Close()
				t.Fatal("no error")
			}
			if tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %q, want %v, %q", err, tt.is, tt.text)
			}
		})
	}
}

// clientv3 logs in within New and knows no context but its own.
func TestNewEndsWithItsContextWhileLoggingIn(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connects, and never speaks
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, port, _ := net.SplitHostPort(silent.Addr().String())
	l := newLab(t, plainName+" 60 IN SRV 0 0 "+port+" m1.lab.test.", "m1.lab.test. 60 IN A 127.0.0.1")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	config := clientv3.Config{Logger: zap.NewNop(), Username: "root", Password: "secret"}
	c, err := New(ctx, "lab.test", config, append(l.opts, discovery.PlainOnly())...)
	if err == nil {
		c.Close()
		t.Fatal("no error")
	}
	if ctx.Err() == nil {
		t.Errorf("gave up before its context ended: %v", err)
	}
}

// Both ways to close end a lookup that hangs. Not parallel: it looks at all
// goroutines of the process.
func TestCloseLeavesNothingBehind(t *testing.T) {
	l := newLab(t, plainName+" 60 IN SRV 0 0 1 m1.lab.test.")
	open := func() *Client {
		c, err := New(t.Context(), "lab.test", clientv3.Config{Logger: zap.NewNop()}, append(l.opts, discovery.PlainOnly())...)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	outer, inner := open(), open()
	l.Fault(plainName, testdns.Silent)
	l.waitForQuestions(t, 2)
	began := time.Now()
	outer.Close()
	inner.Client.Close()
	inner.Close()
	if stacks := allStacks(); strings.Contains(stacks, "discovery.(*watcher)") || strings.Contains(stacks, "LookupSRV") {
		t.Errorf("still at work after Close:\n%s", stacks)
	}
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("closing took %s: it waited for the name server", d)
	}
}

// A lookup that takes its time to end: Close returns after it.
func TestCloseWaitsForTheLookup(t *testing.T) {
	t.Parallel()
	l := newLab(t, plainName+" 60 IN SRV 0 0 1 m1.lab.test.")
	var hang atomic.Bool
	var active atomic.Int32
	hanging := make(chan struct{}, 100)
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		if !hang.Load() {
			return new(net.Dialer).DialContext(ctx, network, l.Addr)
		}
		active.Add(1)
		defer active.Add(-1)
		hanging <- struct{}{}
		<-ctx.Done()
		time.Sleep(50 * time.Millisecond)
		return nil, ctx.Err()
	}}
	// gRPC dials nothing, so that all lookups are those of the records.
	noDial := grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, net.ErrClosed })
	config := clientv3.Config{Logger: zap.NewNop(), DialOptions: []grpc.DialOption{noDial}}
	c, err := New(t.Context(), "lab.test", config,
		discovery.PlainOnly(), discovery.WithInterval(discovery.MinInterval), discovery.WithResolver(resolver))
	if err != nil {
		t.Fatal(err)
	}
	hang.Store(true)
	<-hanging
	c.Close()
	if n := active.Load(); n != 0 {
		t.Errorf("%d lookups are still at work", n)
	}
}

func allStacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}

// A zone that fails, or is emptied by mistake, takes no endpoint away.
func TestClientKeepsItsEndpointsThroughBadAnswers(t *testing.T) {
	t.Parallel()
	l := newLab(t, plainName+" 60 IN SRV 0 0 2379 m1.lab.test.")
	client, err := New(t.Context(), "lab.test", clientv3.Config{Logger: zap.NewNop()}, append(l.opts, discovery.PlainOnly())...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	l.Fault(plainName, dns.RcodeServerFailure)
	l.waitForQuestions(t, 4) // twice two tries of Go's resolver
	if got := client.Endpoints(); !slices.Equal(got, []string{"http://m1.lab.test:2379"}) {
		t.Errorf("endpoints %q after failures", got)
	}
}

// waitForQuestions waits until plainName has been asked for n more times.
func (l *lab) waitForQuestions(t *testing.T, n int) {
	t.Helper()
	l.waitFor(t, plainName, l.asked(plainName)+n)
}

// waitFor waits until name has been asked for that often.
func (l *lab) waitFor(t *testing.T, name string, enough int) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for l.asked(name) < enough {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("asked %d times, want %d", l.asked(name), enough)
		}
	}
}

func (l *lab) asked(name string) int {
	return len(slices.DeleteFunc(l.Asked(), func(q string) bool { return q != "udp "+name+" SRV" }))
}
