package client

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// receivedBytes is the metric that counts what a member gets from each peer (etcd
// server/etcdserver/api/rafthttp/metrics.go). Its neighbor active_peers would be
// simpler, and is of no use: a member that joined counts a peer twice, and one of the
// two for ever.
const receivedBytes = "etcd_network_peer_received_bytes_total"

// maxMetrics bounds what is read of a member's metrics; a busy one has some 200 kB.
const maxMetrics = 8 << 20

// Heard implements etcd.Inspector. etcd serves its metrics on the client port too, to
// whoever it serves there.
//
// A member that follows a leader answers its heartbeats many times a second, and one
// that knows none asks all others for their votes, within two election timeouts. So
// whoever is heard by nobody for that long does not run, or reaches nobody.
func (c *Client) Heard(ctx context.Context, h cluster.Host) ([]cluster.MemberID, error) {
	peers, err := c.heard(ctx, h)
	if err != nil {
		return nil, fmt.Errorf("ask member %s at %s whom it hears: %w", h.Name, at(h), err)
	}
	return peers, nil
}

func (c *Client) heard(ctx context.Context, h cluster.Host) ([]cluster.MemberID, error) {
	before, err := c.received(ctx, h)
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(2*c.spec.ElectionTimeout() + 500*time.Millisecond):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	after, err := c.received(ctx, h)
	if err != nil {
		return nil, err
	}
	var peers []cluster.MemberID
	for id, bytes := range after {
		if id != 0 && bytes > before[id] { // etcd counts what tells no sender under 0
			peers = append(peers, id)
		}
	}
	return peers, nil
}

// received is how much a member has got from each peer since it was started.
func (c *Client) received(ctx context.Context, h cluster.Host) (map[cluster.MemberID]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	transport := &http.Transport{Proxy: nil, DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", at(h))
		}}
	if c.spec.TLS {
		config, err := c.tls()
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = config.Clone()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.spec.ClientURL(h.Name, h.Ports.Client)+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET /metrics: %s", answer.Status)
	}
	return readReceived(io.LimitReader(answer.Body, maxMetrics))
}

// readReceived reads a member's metrics. One that never had a peer tells of none.
func readReceived(metrics io.Reader) (map[cluster.MemberID]float64, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(metrics)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	bytes := map[cluster.MemberID]float64{}
	for _, m := range families[receivedBytes].GetMetric() {
		for _, label := range m.GetLabel() {
			if label.GetName() != "From" {
				continue
			}
			id, err := strconv.ParseUint(label.GetValue(), 16, 64)
			if err != nil {
				return nil, fmt.Errorf("metric %s: member %q: %w", receivedBytes, label.GetValue(), err)
			}
			bytes[cluster.MemberID(id)] = m.GetCounter().GetValue()
		}
	}
	return bytes, nil
}
