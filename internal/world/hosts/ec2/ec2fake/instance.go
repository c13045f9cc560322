package ec2fake

import (
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// State is where an instance stands in its life:
//
//	pending ─▶ running ─▶ stopping ─▶ stopped ─▶ pending …
//	   └──────────┴───────────┴──────────┴─▶ shutting-down ─▶ terminated
type State string

// The states.
const (
	Pending      State = "pending"
	Running      State = "running"
	Stopping     State = "stopping"
	Stopped      State = "stopped"
	ShuttingDown State = "shutting-down"
	Terminated   State = "terminated"
)

// code is the number that EC2 gives a state.
func (s State) code() int {
	switch s {
	case Pending:
		return 0
	case Running:
		return 16
	case ShuttingDown:
		return 32
	case Terminated:
		return 48
	case Stopping:
		return 64
	case Stopped:
		return 80
	}
	panic("no state " + string(s))
}

// Instance is one instance as it was when it was asked for.
type Instance struct {
	ID    string
	State State
	// Reason is the code of what ended or stopped it, or empty.
	Reason      string
	ClientToken string

	Image, Type, KeyName, Profile string
	UserData                      []byte // decoded
	Metadata                      Metadata
	Protected                     bool // against termination
	Launched                      time.Time

	// These, and its volumes, are empty after its end, except the zone.
	Zone, Subnet, VPC             string
	PrivateAddress, PublicAddress netip.Addr
	Interface                     string // ID of its network interface
	SecurityGroups                []string

	Tags, InterfaceTags map[string]string
	Volumes             []string // IDs, the root volume first
}

// Script is the user data as cloud-init reads it: it may be zipped.
func (i Instance) Script() (string, error) {
	r, err := gzip.NewReader(bytes.NewReader(i.UserData))
	if err != nil {
		return string(i.UserData), nil
	}
	text, err := io.ReadAll(r) // no more than a thousand times longestUserData
	return string(text), err
}

// Metadata is how an instance may ask for its metadata.
type Metadata struct {
	Tokens   string // "optional" or "required"
	Endpoint string // "enabled" or "disabled"
	HopLimit int
	Tags     string // "enabled" or "disabled"
}

// instance is an instance with what only the server knows of it. All but power
// is guarded by the server's mutex.
type instance struct {
	Instance
	reservation string
	index       int // in its reservation

	unseen    int  // so many lists to come do not show it
	hidden    bool // the last list did not show it
	between   int  // so many lists to come show it on its way from a state to the next
	busy      int  // calls of Machines that have not returned
	stuck     bool // Machines could not stop or remove its machine
	ran       bool // it was running once
	charged   bool // it takes from capacity and quota
	public    bool // it gets a public address at each start
	forgotten bool

	power   sync.Mutex // held while Machines is called
	machine bool       // Machines keeps one for it; guarded by power
}

func (i *instance) snapshot() Instance {
	out := i.Instance
	out.UserData = slices.Clone(out.UserData)
	out.SecurityGroups = slices.Clone(out.SecurityGroups)
	out.Volumes = slices.Clone(out.Volumes)
	out.Tags, out.InterfaceTags = maps.Clone(out.Tags), maps.Clone(out.InterfaceTags)
	return out
}

// change sends an instance on its way from a state to the next.
func (i *instance) change(to State, reason string, lists int) {
	i.State, i.Reason, i.between = to, reason, lists
}

// list is what time is here: with each list of instances an instance comes
// nearer to being seen, and then to its next state.
func (s *Server) list(i *instance) {
	if i.hidden = i.unseen > 0; i.hidden {
		i.unseen--
		return
	}
	if i.between > 0 {
		i.between--
		return
	}
	s.settle(i)
}

// settle lets an instance arrive in its next state if nothing holds it up.
func (s *Server) settle(i *instance) {
	if i.hidden || i.unseen > 0 || i.between > 0 || i.busy > 0 || i.stuck {
		return
	}
	switch i.State {
	case Pending:
		i.State, i.ran = Running, true
	case Stopping:
		i.State = Stopped
		i.PublicAddress = netip.Addr{}
		s.faults.release(i)
	case ShuttingDown:
		s.end(i)
	}
}

// end takes away what an instance had.
func (s *Server) end(i *instance) {
	i.State = Terminated
	s.faults.release(i)
	for _, id := range i.Volumes {
		if v := s.volumes[id]; v.DeleteOnTermination {
			delete(s.volumes, id)
		} else {
			v.State, v.Instance, v.Device = Available, "", ""
		}
	}
	i.Volumes, i.SecurityGroups, i.InterfaceTags = nil, nil, nil
	i.Subnet, i.VPC, i.Interface = "", "", ""
	i.PrivateAddress, i.PublicAddress = netip.Addr{}, netip.Addr{}
}

// ForgetTerminated takes terminated instances out of the lists, as EC2 does after
// about an hour. A client token that gave one is refused from then on.
func (s *Server) ForgetTerminated() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.instances {
		i.forgotten = i.forgotten || i.State == Terminated
	}
}
