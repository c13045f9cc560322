// Package writer shows that a cluster keeps what it acknowledged. A [Writer]
// puts numbered keys, one after another and throughout whatever happens to the
// cluster, and remembers what it was told of each; [Tally.Check] then looks
// for them.
//
// A put that failed or got no answer may have taken effect or not (it is
// doubtful), and is never tried again: each key is put at most once, so that
// the revision at which it was acknowledged must be the one it has for ever.
package writer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// Config says where and how fast to write.
type Config struct {
	Endpoints []string
	// TLS names the files of a client; its zero value is plain HTTP.
	TLS transport.TLSInfo
	// Dial connects to members. Default: that of gRPC.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Prefix of the keys, which must be used by nobody else.
	Prefix string
	// Every is the time between two puts. Default: 10 ms.
	Every time.Duration
	// Timeout bounds one put, after which it is doubtful. Default: 2 s.
	Timeout time.Duration
}

// Tally is what a writer was told: the revision of each acknowledged put, by
// its number, and the numbers of those it is not sure of.
type Tally struct {
	Acknowledged map[int]int64
	Doubtful     map[int]bool
}

// Writer is a running writer.
type Writer struct {
	config Config
	client *clientv3.Client
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu    sync.Mutex
	tally Tally
	last  error // of the latest doubtful put
}

// Start begins to write. It needs no member to be there yet.
func Start(c Config) (*Writer, error) {
	if c.Every == 0 {
		c.Every = 10 * time.Millisecond
	}
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Second
	}
	client, err := c.open()
	if err != nil {
		return nil, fmt.Errorf("start writer: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &Writer{config: c, client: client, stop: stop, tally: Tally{map[int]int64{}, map[int]bool{}}}
	w.done.Go(func() { w.write(ctx) })
	return w, nil
}

func (c Config) open() (*clientv3.Client, error) {
	config := clientv3.Config{Endpoints: c.Endpoints, Logger: zap.NewNop(),
		// A member that lost its power says nothing. Five seconds is the
		// shortest that etcd allows its clients.
		DialKeepAliveTime: 5 * time.Second, DialKeepAliveTimeout: 2 * time.Second}
	if !c.TLS.Empty() {
		tls, err := c.TLS.ClientConfig()
		if err != nil {
			return nil, err
		}
		config.TLS = tls
	}
	if c.Dial != nil {
		config.DialOptions = append(config.DialOptions, grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return c.Dial(ctx, "tcp", address)
		}))
	}
	return clientv3.New(config)
}

func (w *Writer) write(ctx context.Context) {
	tick := time.NewTicker(w.config.Every)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.put(ctx, n)
		}
	}
}

func (w *Writer) put(ctx context.Context, n int) {
	ctx, cancel := context.WithTimeout(ctx, w.config.Timeout)
	defer cancel()
	answer, err := w.client.Put(ctx, w.config.key(n), strconv.Itoa(n))
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.tally.Doubtful[n], w.last = true, err
		return
	}
	w.tally.Acknowledged[n] = answer.Header.Revision
}

func (c Config) key(n int) string { return fmt.Sprintf("%s%08d", c.Prefix, n) }

// Acknowledged is how many puts have been acknowledged so far.
func (w *Writer) Acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.tally.Acknowledged)
}

// Await waits until n more puts are acknowledged: the cluster serves.
func (w *Writer) Await(ctx context.Context, n int) error {
	want := w.Acknowledged() + n
	for w.Acknowledged() < want {
		select {
		case <-ctx.Done():
			w.mu.Lock()
			defer w.mu.Unlock()
			return fmt.Errorf("await %d writes: %d are missing; last error: %w", n, want-len(w.tally.Acknowledged), errors.Join(ctx.Err(), w.last))
		case <-time.After(w.config.Every):
		}
	}
	return nil
}

// Stop ends the writer and returns what it was told. The put under way, if
// any, is doubtful.
func (w *Writer) Stop() Tally {
	w.stop()
	w.done.Wait()
	_ = w.client.Close() // says only that the context was cancelled
	return w.tally
}
