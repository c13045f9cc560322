package discovery_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/discovery/internal/testdns"
)

func TestLookupWithoutAnswerIsUnavailable(t *testing.T) {
	t.Parallel()
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		server, resolver := start(t, plain1)
		server.Fault(sslName, testdns.Silent)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := discovery.Lookup(ctx, "lab.test", resolver)
		wantError(t, err, discovery.ErrUnavailable, sslName)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the context's inside", err)
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		server, resolver := start(t)
		server.Close()
		_, err := discovery.Lookup(t.Context(), "lab.test", resolver)
		wantError(t, err, discovery.ErrUnavailable, sslName)
		if !strings.Contains(err.Error(), server.Addr) {
			t.Errorf("error %q, want the name server %s in it", err, server.Addr)
		}
	})
}

func TestLookupEndsWithItsContext(t *testing.T) {
	t.Parallel()
	t.Run("ended before", func(t *testing.T) {
		t.Parallel()
		_, resolver := start(t, ssl1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := discovery.Lookup(ctx, "lab.test", resolver)
		wantError(t, err, discovery.ErrUnavailable, sslName)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the context's inside", err)
		}
	})
	t.Run("while waiting", func(t *testing.T) {
		t.Parallel()
		server, resolver := start(t)
		server.Fault(sslName, testdns.Silent)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for !slices.Contains(server.Asked(), "udp "+sslName+" SRV") {
				runtime.Gosched()
			}
			cancel()
		}()
		began := time.Now()
		_, err := discovery.Lookup(ctx, "lab.test", resolver)
		wantError(t, err, discovery.ErrUnavailable, sslName)
		if d := time.Since(began); !errors.Is(err, context.Canceled) || d > 2*time.Second {
			t.Errorf("error %v after %s, want the context's at once: Go's resolver by itself waits 5 seconds", err, d)
		}
	})
	t.Run("with a dialler that does not care", func(t *testing.T) {
		t.Parallel()
		server, _ := start(t)
		server.Fault(sslName, testdns.Silent)
		ctx, cancel := context.WithCancel(t.Context())
		resolver := &net.Resolver{PreferGo: true, Dial: func(_ context.Context, network, _ string) (net.Conn, error) {
			cancel()
			return net.Dial(network, server.Addr)
		}}
		_, err := discovery.Lookup(ctx, "lab.test", discovery.WithResolver(resolver))
		if want := "look up " + sslName + ": no usable answer: context canceled"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %q", err, want)
		}
	})
}
