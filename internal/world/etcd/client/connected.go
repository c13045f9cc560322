package client

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// activePeers is the metric that has a 1 for each peer with which a member has a
// connection (etcd server/etcdserver/api/rafthttp/metrics.go).
const activePeers = "etcd_network_active_peers"

// maxMetrics bounds what is read of a member's metrics; a busy one has some 200 kB.
const maxMetrics = 8 << 20

// Connected implements etcd.Inspector. etcd serves its metrics on the client port too,
// to whoever it serves there.
func (c *Client) Connected(ctx context.Context, h cluster.Host) ([]cluster.MemberID, error) {
	peers, err := c.connected(ctx, h)
	if err != nil {
		return nil, fmt.Errorf("ask member %s at %s for its peers: %w", h.Name, at(h), err)
	}
	return peers, nil
}

func (c *Client) connected(ctx context.Context, h cluster.Host) ([]cluster.MemberID, error) {
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
	return readPeers(io.LimitReader(answer.Body, maxMetrics))
}

// readPeers are the peers with a connection, from a member's metrics. A member that
// never had a peer tells of none.
func readPeers(metrics io.Reader) ([]cluster.MemberID, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(metrics)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	var peers []cluster.MemberID
	for _, m := range families[activePeers].GetMetric() {
		for _, label := range m.GetLabel() {
			if label.GetName() != "Remote" || m.GetGauge().GetValue() <= 0 {
				continue
			}
			id, err := strconv.ParseUint(label.GetValue(), 16, 64)
			if err != nil {
				return nil, fmt.Errorf("metric %s: member %q: %w", activePeers, label.GetValue(), err)
			}
			peers = append(peers, cluster.MemberID(id))
		}
	}
	return peers, nil
}
