package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/pki"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2/ec2fake"
)

// machines are what runs on the instances of a fake EC2: nodes, and members that form a
// cluster as soon as most of them run. It is a deliver.Deliverer, an etcd.Inspector and
// an etcd.Changer that changes nothing, as a new cluster needs no change.
type machines struct {
	etcd.Changer
	ec2 *ec2fake.Server

	mu  sync.Mutex
	on  map[string]*machine // by instance
	pid int
}

type machine struct {
	node        *node.Node
	certificate *cluster.Certificate
	process     cluster.Process
	data        cluster.Data
}

// of is the machine of a host, if its instance runs.
func (m *machines) of(h cluster.Host) (*machine, error) {
	for _, i := range m.ec2.Instances() {
		if i.PrivateAddress == h.Address && i.Tags["pleiad:member"] == string(h.Name) && i.State == ec2fake.Running {
			if m.on[i.ID] == nil {
				m.on[i.ID] = &machine{}
			}
			return m.on[i.ID], nil
		}
	}
	return nil, fmt.Errorf("%s: no route to host", h.Address)
}

// Inspect implements deliver.Deliverer.
func (m *machines) Inspect(_ context.Context, h cluster.Host) (cluster.Node, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	on, err := m.of(h)
	if err != nil {
		return cluster.Node{}, err
	}
	out := cluster.Node{Certificate: on.certificate, Process: on.process, Data: on.data, Clock: time.Now()}
	if on.node != nil {
		out.Installed, out.Sealed, out.Made = on.node.Digest(), on.node.Sealed, on.node.Made()
	}
	return out, nil
}

// Install implements deliver.Deliverer.
func (m *machines) Install(_ context.Context, h cluster.Host, n node.Node, creds *node.Credentials, _ bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	on, err := m.of(h)
	if err == nil && creds != nil {
		parsed, failed := pki.ParseCertificate("member", creds.Peer.Cert)
		if failed != nil {
			return failed
		}
		window := pki.Window(parsed)
		on.certificate = &window
	}
	if err == nil {
		on.node = &n
	}
	return err
}

// Revert implements deliver.Deliverer. Nothing is ever installed beside a member here.
func (m *machines) Revert(context.Context, cluster.Host) error {
	return errors.New("nothing is kept")
}

// Start implements deliver.Deliverer.
func (m *machines) Start(_ context.Context, h cluster.Host) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	on, err := m.of(h)
	if err != nil || on.process.Running {
		return err
	}
	if on.node == nil {
		return errors.New("nothing is delivered")
	}
	m.pid++
	on.process = cluster.Process{Running: true, PID: m.pid, Since: time.Now(), Flags: on.node.Flags()}
	on.data = cluster.Data{Present: true, Born: true, Member: on.node.Member, Cluster: on.node.ID}
	return nil
}

// Stop implements deliver.Deliverer.
func (m *machines) Stop(_ context.Context, h cluster.Host, _ time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	on, err := m.of(h)
	if err == nil {
		on.process = cluster.Process{Exit: "terminated"}
	}
	return err
}

// View implements etcd.Inspector.
func (m *machines) View(_ context.Context, h cluster.Host) (cluster.View, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	on, err := m.of(h)
	if err != nil || !on.process.Running {
		return cluster.View{}, errors.Join(err, errors.New("connection refused"))
	}
	v := cluster.View{ID: on.data.Member, Cluster: on.data.Cluster, Term: 2, Applied: 9, Revision: 1, Version: "3.7.3", DBSize: 20480}
	alive, scheme := 0, "https"
	if on.node.Names == nil {
		scheme = "http"
	}
	for _, p := range on.node.Gate.Peers {
		url := p.URL(scheme)
		v.Members = append(v.Members, cluster.Member{ID: cluster.BootstrapMemberID(url, on.node.Token), Name: p.Name(), PeerURLs: []string{url}, ClientURLs: []string{scheme + "://" + p.Address + ":2379"}})
	}
	slices.SortFunc(v.Members, func(a, b cluster.Member) int { return cmp.Compare(a.ID, b.ID) })
	v.Leader = v.Members[0].ID
	for _, other := range m.on {
		if other.process.Running && other.data.Cluster == v.Cluster {
			alive++
		}
	}
	if alive < cluster.Quorum(len(v.Members)) {
		return cluster.View{}, errors.New("no answer within 3s")
	}
	return v, nil
}

// Shown implements etcd.Inspector.
func (m *machines) Shown(_ context.Context, h cluster.Host) (cluster.Certificate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	on, err := m.of(h)
	if err != nil {
		return cluster.Certificate{}, err
	}
	return *on.certificate, nil
}

// Heard implements etcd.Inspector.
func (m *machines) Heard(context.Context, cluster.Host) ([]cluster.MemberID, error) {
	return nil, errors.New("nobody asked for it")
}
