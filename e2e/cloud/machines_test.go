package cloud

import (
	"context"
	"fmt"
	"sync"

	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2/ec2fake"
)

// machines are the hosts of a bed that instances run on, by the instance's ID.
type machines struct {
	bed *bed.Bed

	mu   sync.Mutex
	made map[string]*bed.Host
}

func (m *machines) host(id string) *bed.Host {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.made[id]
}

// Start implements ec2fake.Machines.
func (m *machines) Start(i ec2fake.Instance) error {
	if h := m.host(i.ID); h != nil {
		return m.tell(h.Start(context.Background()))
	}
	h, err := m.bed.Launch(context.Background(), i.ID, i.PrivateAddress, i.UserData)
	if err == nil {
		m.mu.Lock()
		m.made[i.ID] = h
		m.mu.Unlock()
	}
	return m.tell(err)
}

// Stop implements ec2fake.Machines.
func (m *machines) Stop(i ec2fake.Instance) error {
	return m.tell(m.host(i.ID).Stop(context.Background()))
}

// Terminate implements ec2fake.Machines.
func (m *machines) Terminate(i ec2fake.Instance) error {
	return m.tell(m.host(i.ID).Remove(context.Background()))
}

// tell is why the bed failed, which EC2 would not say.
func (m *machines) tell(err error) error {
	if err != nil {
		fmt.Println("test bed:", err)
	}
	return err
}
