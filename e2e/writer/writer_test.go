package writer_test

import (
	"context"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/pleiad-etcd/pleiad/e2e/writer"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func freeURL(t *testing.T) url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return url.URL{Scheme: "http", Host: l.Addr().String()}
}

// member is an etcd of one member that can be stopped and started.
func member(t *testing.T) (endpoint string, start func() *embed.Etcd) {
	t.Helper()
	dir, client, peer := t.TempDir(), freeURL(t), freeURL(t)
	return client.String(), func() *embed.Etcd {
		t.Helper()
		c := embed.NewConfig()
		c.Dir, c.ZapLoggerBuilder = dir, embed.NewZapLoggerBuilder(zap.NewNop())
		c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
		c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
		c.InitialCluster = c.InitialClusterFromName(c.Name)
		e, err := embed.StartEtcd(c)
		must(t, err)
		<-e.Server.ReadyNotify()
		return e
	}
}

// The writer goes on over a time in which nothing answers; afterwards all that
// was acknowledged is there, and each way in which it could not be is noticed.
func TestWriter(t *testing.T) {
	endpoint, start := member(t)
	etcd := start()
	var dialled atomic.Int64
	config := writer.Config{Endpoints: []string{endpoint}, Prefix: "/w/", Every: time.Millisecond, Timeout: 200 * time.Millisecond,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		}}
	w, err := writer.Start(config)
	must(t, err)
	must(t, w.Await(t.Context(), 50))
	etcd.Close()
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := w.Await(short, 1); err == nil || !strings.Contains(err.Error(), "await 1 writes") {
		t.Errorf("nothing runs, but await says %v", err)
	}
	etcd = start()
	defer func() { etcd.Close() }()
	must(t, w.Await(t.Context(), 50))
	tally := w.Stop()
	t.Log(tally)
	must(t, tally.Check(t.Context(), config))
	if len(tally.Acknowledged) < 100 || len(tally.Doubtful) == 0 {
		t.Errorf("%s: want 100 and some", tally)
	}
	if dialled.Load() == 0 {
		t.Error("it did not use Dial")
	}
	teeth(t, tally, config)
}

// teeth breaks what was written in every way.
func teeth(t *testing.T, tally writer.Tally, config writer.Config) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: config.Endpoints, Logger: zap.NewNop()})
	must(t, err)
	defer client.Close()
	ctx := t.Context()
	_, err = client.Delete(ctx, "/w/00000001")
	must(t, err)
	_, err = client.Put(ctx, "/w/00000002", "2") // the same value, but later
	must(t, err)
	_, err = client.Put(ctx, "/w/00000003", "other")
	must(t, err)
	_, err = client.Put(ctx, "/w/99999999", "99999999")
	must(t, err)
	err = tally.Check(ctx, config)
	if err == nil {
		t.Fatal("nothing noticed")
	}
	for _, want := range []string{"/w/00000001 was acknowledged and is lost", "/w/00000002 was acknowledged at revision", `/w/00000003 is "other"`, "/w/99999999 was never put"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not noticed: %s", want)
		}
	}
	if n := strings.Count(err.Error(), "\n"); n != 3 {
		t.Errorf("noticed more: %v", err)
	}
}
