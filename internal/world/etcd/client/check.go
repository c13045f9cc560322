package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Check says whether a client is served through one endpoint, such as
// "https://etcd-k3v9qd2m.dev.test:2379": it reads linearizably, and no alarm
// is raised. config is nil without TLS. dial connects to the endpoint's
// host:port; nil for the system's own way. It takes at most two seconds.
func Check(ctx context.Context, endpoint string, config *tls.Config, dial Dial) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	if dial == nil {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	c, err := open(endpoint, config, dial)
	if err != nil {
		return err
	}
	defer c.close()
	var status *pb.StatusResponse
	var statusErr, readErr error
	var calls sync.WaitGroup
	calls.Go(func() { status, statusErr = c.status(ctx) })
	calls.Go(func() { readErr = c.read(ctx) })
	calls.Wait()
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	if err := cmp.Or(readErr, statusErr); err != nil {
		return c.explain(err)
	}
	var alarms []string
	for _, e := range status.Errors {
		if a, ok := parseAlarm(e); ok {
			alarms = append(alarms, about(a, nil).String())
		}
	}
	if len(alarms) > 0 {
		slices.Sort(alarms)
		return fmt.Errorf("alarm: %s", strings.Join(alarms, ", "))
	}
	return nil
}
