package ec2fake

import "strings"

// faults are what goes wrong, and what runs out.
type faults struct {
	lag       Lag
	throttled map[string]int     // calls to refuse, by the name they are counted by
	planned   map[string][]fault // by the same
	denied    map[string]bool    // rights
	capacity  map[place]int      // instances that can still be launched
	vcpus     int                // that may be in use; negative for no limit
	used      int                // vCPUs
}

// place is where capacity runs out.
type place struct{ kind, zone string }

// Lag is how many lists of instances (DescribeInstances, first pages only) it
// takes until something shows.
type Lag struct {
	Unseen       int // a new instance, by its ID, in lists, and its volumes
	Pending      int // shown as pending before it is running
	Stopping     int // shown as stopping before it is stopped
	ShuttingDown int // shown as shutting-down before it is terminated
}

// fault is what goes wrong with one call.
type fault struct {
	left int // calls until it is due, itself included
	when moment
	code string // of the refusal; with none the connection is cut
	act  func() // what happens instead of cutting the connection
}

// moment is when a fault comes, as seen from the effect of the call.
type moment int

const (
	never moment = iota
	before
	after
)

func none() faults {
	return faults{throttled: map[string]int{}, planned: map[string][]fault{}, denied: map[string]bool{}, capacity: map[place]int{}, vcpus: -1}
}

func (s *Server) arm(change func(*faults)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.faults)
}

func (s *Server) plan(action string, f fault) {
	s.arm(func(x *faults) { x.planned[action] = append(x.planned[action], f) })
}

// SetLag makes what instances do from now on show late.
func (s *Server) SetLag(l Lag) { s.arm(func(x *faults) { x.lag = l }) }

// Throttle refuses the next n calls of an action, named as in [Server.Calls].
func (s *Server) Throttle(action string, n int) { s.arm(func(x *faults) { x.throttled[action] += n }) }

// Fail refuses the nth of the calls of an action to come, from 1, with a code
// and without effect. Calls that are throttled are not counted.
func (s *Server) Fail(action string, n int, code string) {
	s.plan(action, fault{left: n, when: before, code: code})
}

// LoseRequest cuts the connection of the nth call to come before it has an effect.
func (s *Server) LoseRequest(action string, n int) { s.plan(action, fault{left: n, when: before}) }

// LoseAnswer carries out the nth call to come and cuts the connection.
func (s *Server) LoseAnswer(action string, n int) { s.plan(action, fault{left: n, when: after}) }

// After calls act when the nth call to come was carried out, before its answer.
func (s *Server) After(action string, n int, act func()) {
	s.plan(action, fault{left: n, when: after, act: act})
}

// Deny takes a right from the account: the name of an action, for a dry run and
// without, or "iam:PassRole", which an instance with a profile needs. To launch
// with tags, CreateTags is needed, too.
func (s *Server) Deny(right string) { s.arm(func(x *faults) { x.denied[right] = true }) }

// Allow gives a right back.
func (s *Server) Allow(right string) { s.arm(func(x *faults) { delete(x.denied, right) }) }

// SetCapacity says how many more instances of a type a zone has room for;
// negative for any number. Instances that stop or end give their room back.
func (s *Server) SetCapacity(kind, zone string, left int) {
	s.arm(func(x *faults) {
		if x.capacity[place{kind, zone}] = left; left < 0 {
			delete(x.capacity, place{kind, zone})
		}
	})
}

// SetVCPULimit says how many vCPUs may be in use; negative for any number.
func (s *Server) SetVCPULimit(n int) { s.arm(func(x *faults) { x.vcpus = n }) }

// due counts a call and gives the fault that is planned for it.
func (x *faults) due(name string) fault {
	var out fault
	var rest []fault
	for _, f := range x.planned[name] {
		if f.left--; f.left > 0 || out.when != never {
			rest = append(rest, f)
		} else {
			out = f
		}
	}
	x.planned[name] = rest
	return out
}

// permit says which right is missing for a call.
func (x *faults) permit(c *call) *refusal {
	need := []string{c.action}
	if c.hasBelow("TagSpecification") {
		need = append(need, "CreateTags")
	}
	if c.hasBelow("IamInstanceProfile") {
		need = append(need, "iam:PassRole")
	}
	for _, right := range need {
		if x.denied[right] {
			if !strings.Contains(right, ":") {
				right = "ec2:" + right
			}
			return refuse("UnauthorizedOperation", "You are not authorized to perform this operation. User is not authorized to perform: %s", right)
		}
	}
	return nil
}

// vcpusEach is how many each instance has.
const vcpusEach = 2

// room says why no instance of a type fits into a zone.
func (x *faults) room(kind, zone string, count int) *refusal {
	if x.vcpus >= 0 && x.used+count*vcpusEach > x.vcpus {
		return refuse("VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit of %d allows for the instance bucket that the specified instance type belongs to.", x.vcpus)
	}
	if left, limited := x.capacity[place{kind, zone}]; limited && left < count {
		return refuse("InsufficientInstanceCapacity", "We currently do not have sufficient %s capacity in the Availability Zone you requested (%s).", kind, zone)
	}
	return nil
}

// charge takes an instance's room, release gives it back; each once.
func (x *faults) charge(i *instance) { x.book(i, true) }

func (x *faults) release(i *instance) { x.book(i, false) }

func (x *faults) book(i *instance, in bool) {
	if i.charged == in {
		return
	}
	i.charged = in
	one := 1
	if !in {
		one = -1
	}
	x.used += one * vcpusEach
	if p := (place{i.Type, i.Zone}); x.capacity != nil {
		if left, limited := x.capacity[p]; limited {
			x.capacity[p] = left - one
		}
	}
}
