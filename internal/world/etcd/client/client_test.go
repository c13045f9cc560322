package client_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/pki"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd/client"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd/etcdtest"
)

func TestInspectorContract(t *testing.T) {
	etcdtest.Run(t, etcdtest.Harness{Open: func(t *testing.T, members int) etcdtest.World {
		return newTestbed(t, members, true).world()
	}})
}

// ready starts one member and waits until it serves.
func ready(t testing.TB, b *testbed) cluster.View {
	t.Helper()
	b.start(t, 0)
	v, err := b.inspector().View(t.Context(), b.hosts[0]) // it answers once it is ready
	if err != nil || !v.Healthy() {
		t.Fatalf("a single member: %+v, %v", v, err)
	}
	return v
}

func TestWithoutTLS(t *testing.T) {
	t.Parallel()
	b := newTestbed(t, 1, false)
	ready(t, b)
	v, err := client.New(b.spec, nil).View(t.Context(), b.hosts[0])
	if err != nil || !v.Healthy() || !strings.HasPrefix(v.Members[0].ClientURLs[0], "http://") {
		t.Errorf("without TLS: %+v, %v", v, err)
	}
	if err := client.Check(t.Context(), b.url(b.hosts[0], b.hosts[0].Ports.Client), nil, nil); err != nil {
		t.Errorf("Check without TLS: %v", err)
	}
}

// Where the operator's key is lost the member was not asked.
func TestWithoutAKey(t *testing.T) {
	lost := errors.New("no key")
	spec := cluster.Spec{Cluster: "c1", Domain: "dev.test", Members: 1, TLS: true}
	_, err := client.New(spec, func() (*tls.Config, error) { return nil, lost }).View(t.Context(), cluster.Host{Name: "etcd-a"})
	if !errors.Is(err, etcd.ErrUnasked) || !errors.Is(err, lost) {
		t.Errorf("without a key: %v", err)
	}
}

// Whoever is not exactly the member, or is not let in, is unknown, and the
// error says why.
func TestWhoIsNotTheMember(t *testing.T) {
	t.Parallel()
	b := newTestbed(t, 1, true)
	ready(t, b)
	stranger, err := pki.NewClientCA(rand.Reader, time.Now(), "other")
	if err != nil {
		t.Fatal(err)
	}
	renamed := b.hosts[0]
	renamed.Name = "etcd-zzzzzzz"
	noTLS := b.spec
	noTLS.TLS = false
	for _, c := range []struct {
		what string
		spec cluster.Spec
		host cluster.Host
		tls  client.TLS
		want string
	}{
		{"another member's certificate", b.spec, renamed, func() (*tls.Config, error) { return b.tls, nil }, "not etcd-zzzzzzz.dev.test"},
		{"a name that all members share is asked for", b.spec, renamed, func() (*tls.Config, error) {
			config := b.tls.Clone()
			config.ServerName = b.spec.Domain
			return config, nil
		}, "not etcd-zzzzzzz.dev.test"},
		{"another CA's member", b.spec, b.hosts[0], func() (*tls.Config, error) { return operator(t, stranger, b.ca), nil }, "certificate signed by unknown authority"},
		{"another CA's operator", b.spec, b.hosts[0], func() (*tls.Config, error) { return operator(t, b.ca, stranger), nil }, "certificate"},
		{"no certificate at hand", b.spec, b.hosts[0], func() (*tls.Config, error) { return nil, errors.New("operator: no certificate") }, "operator: no certificate"},
		{"TLS is spoken but not expected", noTLS, b.hosts[0], nil, "the member closed the connection"},
	} {
		v, err := client.New(c.spec, c.tls).View(t.Context(), c.host)
		if err == nil {
			t.Errorf("%s: %+v", c.what, v)
			continue
		}
		prefix := fmt.Sprintf("ask member %s at %s:%d: ", c.host.Name, c.host.Address, c.host.Ports.Client)
		if text := err.Error(); !strings.HasPrefix(text, prefix) || !strings.Contains(text, c.want) || strings.Contains(text, "desc =") || strings.Contains(text, "transport:") {
			t.Errorf("%s: error %q, want %s…%s", c.what, text, prefix, c.want)
		}
	}
}

func TestNotListening(t *testing.T) {
	t.Parallel()
	b := newTestbed(t, 1, true)
	h := b.hosts[0]
	_, err := b.inspector().View(t.Context(), h)
	if want := fmt.Sprintf("ask member etcd-0000000 at %s:%d: connect: connection refused", h.Address, h.Ports.Client); err == nil || err.Error() != want {
		t.Errorf("have %v, want %s", err, want)
	}
}

// raise raises an alarm, which no client of etcd offers.
func raise(t *testing.T, b *testbed, kind pb.AlarmType, id cluster.MemberID) {
	t.Helper()
	config := b.tls.Clone()
	config.ServerName = b.spec.HostName(b.hosts[0].Name)
	c, err := grpc.NewClient(strings.TrimPrefix(b.url(b.hosts[0], b.hosts[0].Ports.Client), "https://"), grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := pb.NewMaintenanceClient(c).Alarm(t.Context(), &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: uint64(id), Alarm: kind}); err != nil {
		t.Fatal(err)
	}
}

// A member presents a new certificate from the next handshake on, on either
// port, and it is seen; one that we do not accept is not.
func TestShown(t *testing.T) {
	b := newTestbed(t, 1, true)
	b.start(t, 0)
	until := func() time.Time {
		t.Helper()
		c, err := b.inspector().Shown(t.Context(), b.hosts[0])
		if err != nil {
			t.Fatal(err)
		}
		return c.NotAfter
	}
	first := until()
	b.issue(t, b.hosts[0], "peer", time.Now().AddDate(0, -1, 0))
	second := until()
	b.issue(t, b.hosts[0], "server", time.Now().AddDate(0, -2, 0))
	if third := until(); !second.Before(first) || !third.Before(second) {
		t.Errorf("valid until %v, with another certificate for peers until %v, with another for clients until %v", first, second, third)
	}
	b.issue(t, b.hosts[0], "server", time.Now().AddDate(0, 0, 300))
	if c, err := b.inspector().Shown(t.Context(), b.hosts[0]); err == nil {
		t.Errorf("a certificate that is not valid yet is %+v, want an error", c)
	}
}

func TestAlarms(t *testing.T) {
	t.Parallel()
	b := newTestbed(t, 1, true)
	h := b.hosts[0]
	id := ready(t, b).ID
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		if address != fmt.Sprintf("%s:%d", b.spec.HostName(h.Name), h.Ports.Client) {
			return nil, fmt.Errorf("asked to dial %s", address)
		}
		return new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("%s:%d", h.Address, h.Ports.Client))
	}
	endpoint := b.spec.ClientURL(h.Name, h.Ports.Client)
	if err := client.Check(t.Context(), endpoint, b.tls, dial); err != nil {
		t.Errorf("Check: %v", err)
	}
	raise(t, b, pb.AlarmType_NOSPACE, id)
	raise(t, b, pb.AlarmType_NOSPACE, 0xabc)
	raise(t, b, pb.AlarmType_CORRUPT, 0)
	v, err := b.inspector().View(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	want := []cluster.Alarm{{Kind: cluster.Corrupt}, {Kind: cluster.NoSpace, Member: id, Name: "etcd-0000000"}, {Kind: cluster.NoSpace, Member: 0xabc}}
	if !slices.Equal(v.Alarms, want) || len(v.Errors) > 0 || v.Healthy() || v.Serves() {
		t.Errorf("alarms %q, errors %q, want alarms %q", v.Alarms, v.Errors, want)
	}
	if err := client.Check(t.Context(), endpoint, b.tls, dial); err == nil || !strings.HasPrefix(err.Error(), "alarm: CORRUPT, NOSPACE on member ") {
		t.Errorf("Check with alarms: %v", err)
	}
}

// Observation writes nothing: asking for the list of alarms would be an entry
// in the log each time.
func TestAskingWritesNothing(t *testing.T) {
	t.Parallel()
	b := newTestbed(t, 1, true)
	before := ready(t, b)
	const times = 20
	var after cluster.View
	for range times {
		var err error
		if after, err = b.inspector().View(t.Context(), b.hosts[0]); err != nil {
			t.Fatal(err)
		}
	}
	// A fresh member still writes its cluster version and the like.
	if after.Applied-before.Applied >= times {
		t.Errorf("%d questions moved the log from %d to %d", times, before.Applied, after.Applied)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	b := newTestbed(t, 3, true)
	b.start(t, 0)
	h := b.hosts[0]
	endpoint := b.url(h, h.Ports.Client)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	lost := func(context.Context, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "etcd-0000000.dev.test"}}
	}
	for _, c := range []struct {
		what     string
		ctx      context.Context
		endpoint string
		tls      *tls.Config
		dial     client.Dial
		want     string
	}{
		{"not ready", short, endpoint, b.tls, nil, "no answer in time"},
		{"cancelled", cancelled, endpoint, b.tls, nil, "context canceled"},
		{"not listening", t.Context(), b.url(b.hosts[1], b.hosts[1].Ports.Client), b.tls, nil, "connect: connection refused"},
		{"no such name", t.Context(), endpoint, b.tls, lost, "lookup etcd-0000000.dev.test: no such host"},
		{"no certificates", t.Context(), endpoint, nil, nil, fmt.Sprintf("endpoint %q: https goes with certificates, http without", endpoint)},
		{"certificates for nothing", t.Context(), "http://a.test:1", b.tls, nil, `endpoint "http://a.test:1": https goes with certificates, http without`},
		{"no URL", t.Context(), "a.test:1", b.tls, nil, `endpoint "a.test:1": want http:// or https:// and host:port`},
		{"broken URL", t.Context(), "https://a b", b.tls, nil, "invalid character"},
	} {
		if err := client.Check(c.ctx, c.endpoint, c.tls, c.dial); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: have %v, want %s", c.what, err, c.want)
		}
	}
}

// A renewed certificate is used without making a new inspector.
func TestTLSIsAskedEachTime(t *testing.T) {
	t.Parallel()
	b := newTestbed(t, 1, true)
	ready(t, b)
	var mu sync.Mutex
	asked := 0
	i := client.New(b.spec, func() (*tls.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		return b.tls, nil
	})
	for range 2 {
		if _, err := i.View(t.Context(), b.hosts[0]); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 2 || b.tls.ServerName != "" {
		t.Errorf("asked %d times for 2 views; the given configuration now has the server name %q", asked, b.tls.ServerName)
	}
}

// Nothing lives on after a question. This test does not run beside others,
// whose goroutines it would count.
func TestNothingIsLeftRunning(t *testing.T) {
	b := newTestbed(t, 1, true)
	ready(t, b)
	i := b.inspector()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	before := runtime.NumGoroutine()
	for range 20 {
		if _, err := i.View(t.Context(), b.hosts[0]); err != nil {
			t.Fatal(err)
		}
	}
	for runtime.NumGoroutine() > before+5 { // the last connections are still closing
		if ctx.Err() != nil {
			t.Fatalf("%d goroutines before, %d after", before, runtime.NumGoroutine())
		}
		runtime.Gosched()
	}
}

func BenchmarkView(b *testing.B) {
	bed := newTestbed(b, 1, true)
	ready(b, bed)
	i := bed.inspector()
	for b.Loop() {
		if _, err := i.View(b.Context(), bed.hosts[0]); err != nil {
			b.Fatal(err)
		}
	}
}

// With etcd's authentication on, a view needs a certificate that names a user,
// and no rights: not even that there is such a user.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	b := newTestbed(t, 1, true)
	ready(t, b)
	h := b.hosts[0]
	config := b.tls.Clone()
	config.ServerName = b.spec.HostName(h.Name)
	c, err := grpc.NewClient(strings.TrimPrefix(b.url(h, h.Ports.Client), "https://"), grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	auth := pb.NewAuthClient(c)
	_, adding := auth.UserAdd(t.Context(), &pb.AuthUserAddRequest{Name: "root", Options: &authpb.UserAddOptions{NoPassword: true}})
	_, granting := auth.UserGrantRole(t.Context(), &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"})
	_, enabling := auth.AuthEnable(t.Context(), &pb.AuthEnableRequest{})
	if err := errors.Join(adding, granting, enabling); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.UserList(t.Context(), &pb.AuthUserListRequest{}); err == nil {
		t.Error("the operator has rights that nobody gave it")
	}
	v, err := b.inspector().View(t.Context(), h)
	if err != nil || !v.Healthy() || len(v.Members) != 1 {
		t.Errorf("View: %+v, %v, want a healthy member", v, err)
	}
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("%s:%d", h.Address, h.Ports.Client))
	}
	if err := client.Check(t.Context(), b.spec.ClientURL(h.Name, h.Ports.Client), b.tls, dial); err != nil {
		t.Errorf("Check: %v", err)
	}
}
