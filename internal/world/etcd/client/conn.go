package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// Dial connects to host:port.
type Dial func(ctx context.Context, address string) (net.Conn, error)

// conn is a connection to one member. It speaks etcd's API without clientv3,
// whose calls wait until a connection can be made (its WaitForReady): a member
// that is down would be known to be down only when time has run out.
type conn struct {
	grpc *grpc.ClientConn
	// suspicion is added where a member just hangs up. In TLS 1.3 a client has
	// done its part before the server looks at its certificate, and what the
	// server says of it is often lost with the connection.
	suspicion string

	mu      sync.Mutex
	dialErr error // why the last attempt to connect failed; nil if it did not
}

// maxAnswer bounds an answer of a member, and maxHeader what it sends before
// one. A list of a hundred members has some 20 kB.
const (
	maxAnswer = 1 << 20
	maxHeader = 64 << 10
)

// open makes a connection to an endpoint; it connects with the first call. The
// host name in the endpoint is what the member's certificate must be valid for.
func open(endpoint string, config *tls.Config, dial Dial) (*conn, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", endpoint, err)
	}
	c := &conn{}
	creds := insecure.NewCredentials()
	switch {
	case u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("endpoint %q: want http:// or https:// and host:port", endpoint)
	case (u.Scheme == "https") != (config != nil):
		return nil, fmt.Errorf("endpoint %q: https goes with certificates, http without", endpoint)
	case config != nil:
		config = config.Clone()
		config.ServerName = u.Hostname()
		creds = credentials.NewTLS(config)
		c.suspicion = "; it may not accept our certificate"
	}
	// The resolver "passthrough" asks no DNS; a dialer of our own keeps proxies
	// out of it.
	c.grpc, err = grpc.NewClient("passthrough:///"+u.Host, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)), grpc.WithMaxHeaderListSize(maxHeader),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			nc, err := dial(ctx, address)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.dialErr = err
			return nc, err
		}))
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", endpoint, err)
	}
	return c, nil
}

// close closes the connection. It has nothing to say that matters any more.
func (c *conn) close() { _ = c.grpc.Close() }

// status is the member's own state.
func (c *conn) status(ctx context.Context) (*pb.StatusResponse, error) {
	return pb.NewMaintenanceClient(c.grpc).Status(ctx, &pb.StatusRequest{})
}

// members is the member list as the member has applied it; with a linearizable
// read, when it has applied all that was agreed on before.
func (c *conn) members(ctx context.Context, linearizable bool) (*pb.MemberListResponse, error) {
	return pb.NewClusterClient(c.grpc).MemberList(ctx, &pb.MemberListRequest{Linearizable: linearizable})
}

// read is one linearizable read of the key that etcdctl endpoint health reads.
// A user who may not read it was answered all the same.
func (c *conn) read(ctx context.Context) error {
	_, err := pb.NewKVClient(c.grpc).Range(ctx, &pb.RangeRequest{Key: []byte("health"), CountOnly: true})
	if errors.Is(rpctypes.Error(err), rpctypes.ErrPermissionDenied) {
		return nil
	}
	return err
}

// explain gives the error of a call as a person wants it: the cause alone,
// without the layers of gRPC round it and without the address.
func (c *conn) explain(err error) error {
	switch status.Code(err) {
	case codes.DeadlineExceeded, codes.Canceled:
		return noAnswer{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dialErr != nil {
		if op, ok := errors.AsType[*net.OpError](c.dialErr); ok {
			return op.Err
		}
		return c.dialErr
	}
	text := status.Convert(err).Message()
	for _, layer := range []string{`connection error: desc = "`, "transport: ", "error reading server preface: "} {
		if _, inner, found := strings.Cut(text, layer); found {
			text = strings.TrimSuffix(inner, `"`)
		}
	}
	for _, sign := range []string{"broken pipe", "connection reset", "EOF", "transport is closing"} {
		if strings.Contains(text, sign) {
			return errors.New("the member closed the connection" + c.suspicion)
		}
	}
	return errors.New(text)
}

// noAnswer is the end of our patience.
type noAnswer struct{}

// Error implements error.
func (noAnswer) Error() string { return "no answer in time" }

// Unwrap gives context.DeadlineExceeded.
func (noAnswer) Unwrap() error { return context.DeadlineExceeded }
