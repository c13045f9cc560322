package ec2fake

// Machines are what instances run on. The calls for one instance never overlap,
// and none of them holds up other calls of the API.
type Machines interface {
	// Start boots the machine of an instance that was launched or started. Until
	// it returns the instance is pending. After an error it is terminated, or
	// stopped if it ran before.
	Start(Instance) error
	// Stop powers it off and keeps its disks; after an error the instance stays
	// stopping.
	Stop(Instance) error
	// Terminate powers it off and removes it; after an error the instance stays
	// shutting-down.
	Terminate(Instance) error
}

// start boots the machine of a pending instance.
func (s *Server) start(i *instance) {
	i.power.Lock()
	defer i.power.Unlock()
	now, wanted := s.look(i, Pending)
	var err error
	if wanted && s.Machines != nil {
		i.machine = true
		err = s.Machines.Start(now)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i.busy--
	if err != nil && i.State == Pending {
		to := ShuttingDown
		if i.ran {
			to = Stopping
		}
		i.change(to, "Server.InternalError", i.between)
	}
	s.settle(i)
}

// stop powers off the machine of an instance that is stopping.
func (s *Server) stop(i *instance) {
	i.power.Lock()
	defer i.power.Unlock()
	var err error
	if now, wanted := s.look(i, Stopping); wanted && i.machine {
		err = s.Machines.Stop(now)
	}
	s.arrive(i, err)
}

// terminate removes the machine of an instance that is shutting down, if it
// ever got one.
func (s *Server) terminate(i *instance) {
	i.power.Lock()
	defer i.power.Unlock()
	var err error
	if now, _ := s.look(i, ShuttingDown); i.machine {
		err = s.Machines.Terminate(now)
		i.machine = err != nil
	}
	s.arrive(i, err)
}

// look is an instance as it is, and whether it is still in a state.
func (s *Server) look(i *instance, state State) (Instance, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return i.snapshot(), i.State == state
}

// arrive ends a change for which Machines was called.
func (s *Server) arrive(i *instance, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i.busy--
	i.stuck = err != nil
	s.settle(i)
}
