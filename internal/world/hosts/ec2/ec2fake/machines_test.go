package ec2fake_test

import (
	"encoding/base64"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2/ec2fake"
)

// machines writes down what it is told.
type machines struct {
	mu       sync.Mutex
	told     []string
	failing  string             // what is refused
	starting chan chan struct{} // if set, a start hands in a channel and waits for it
}

func (m *machines) tell(what string, i ec2fake.Instance) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = append(m.told, what+" "+i.ID)
	if m.failing == what {
		return errors.New("the power is off")
	}
	return nil
}

func (m *machines) Start(i ec2fake.Instance) error {
	if m.starting != nil {
		done := make(chan struct{})
		m.starting <- done
		<-done
	}
	return m.tell("start "+string(i.UserData)+" "+i.PrivateAddress.String(), i)
}

func (m *machines) Stop(i ec2fake.Instance) error      { return m.tell("stop", i) }
func (m *machines) Terminate(i ec2fake.Instance) error { return m.tell("terminate", i) }

func (m *machines) fail(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = what
}

func (m *machines) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.told
	m.told = nil
	return out
}

func TestMachines(t *testing.T) {
	b, m := start(t), &machines{}
	b.Machines = m
	id := b.launch("UserData", base64.StdEncoding.EncodeToString([]byte("hello"))).ID
	b.do("StopInstances", "InstanceId.1", id)
	b.do("StopInstances", "InstanceId.1", id)
	b.do("StartInstances", "InstanceId.1", id)
	b.do("TerminateInstances", "InstanceId.1", id)
	b.do("TerminateInstances", "InstanceId.1", id)
	begin := "start hello 10.5.1.4 " + id
	if told, want := m.take(), []string{begin, "stop " + id, begin, "terminate " + id}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// Until its machine has booted an instance is pending, and other calls are answered.
func TestMachinesPending(t *testing.T) {
	b, m := start(t), &machines{starting: make(chan chan struct{})}
	b.Machines = m
	launched := make(chan reply)
	go func() {
		r, _ := b.try("RunInstances", launching()...)
		launched <- r
	}()
	booted := <-m.starting
	id := b.Instances()[0].ID
	if have := b.states(id, 2); !slices.Equal(have, []string{"pending", "pending"}) {
		t.Errorf("while its machine boots: %q", have)
	}
	close(booted)
	if r := <-launched; len(r.Changed) != 1 || r.Changed[0].State != "pending" {
		t.Errorf("launched %+v", r)
	}
	if state := b.look(id).State; state != "running" {
		t.Errorf("booted and %s", state)
	}
}

// An instance that ends while its machine boots leaves no machine.
func TestMachinesTerminatedEarly(t *testing.T) {
	b, m := start(t), &machines{starting: make(chan chan struct{})}
	b.Machines = m
	var calls sync.WaitGroup
	calls.Go(func() { b.try("RunInstances", launching()...) })
	booted := <-m.starting
	id := b.Instances()[0].ID
	calls.Go(func() { b.try("TerminateInstances", "InstanceId.1", id) })
	for b.Instances()[0].State != ec2fake.ShuttingDown {
		runtime.Gosched()
	}
	close(booted)
	calls.Wait()
	if told, want := m.take(), []string{"start  10.5.1.4 " + id, "terminate " + id}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if state := b.look(id).State; state != "terminated" {
		t.Errorf("ended as %s", state)
	}
}

func TestMachinesFail(t *testing.T) {
	b, m := start(t), &machines{}
	b.Machines = m
	m.fail("start  10.5.1.4")
	if i := b.look(b.launch().ID); i.State != "terminated" || i.Reason != "Server.InternalError" {
		t.Errorf("launched in vain: %s, %s", i.State, i.Reason)
	}
	m.fail("")
	id := b.launch().ID
	m.fail("stop")
	b.do("StopInstances", "InstanceId.1", id)
	if state := b.look(id).State; state != "stopping" {
		t.Errorf("stopped in vain: %s", state)
	}
	m.fail("terminate")
	b.do("TerminateInstances", "InstanceId.1", id)
	if state := b.look(id).State; state != "shutting-down" {
		t.Errorf("terminated in vain: %s", state)
	}
	m.fail("")
	b.do("TerminateInstances", "InstanceId.1", id)
	if state := b.look(id).State; state != "terminated" {
		t.Errorf("terminated again: %s", state)
	}
}
