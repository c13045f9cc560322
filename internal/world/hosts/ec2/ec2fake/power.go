package ec2fake

func (s *Server) startInstances(c *call) (answer, *refusal) {
	all, bad := s.named(c)
	if bad != nil {
		return nil, bad
	}
	for _, i := range all {
		switch i.State {
		case Stopped:
			if bad := s.faults.room(i.Type, i.Zone, 1); bad != nil && !c.dry {
				return nil, bad
			}
		case Stopping, ShuttingDown, Terminated:
			return nil, refuse("IncorrectInstanceState", "The instance '%s' is not in a state from which it can be started.", i.ID)
		}
	}
	return s.power(c, all, func(i *instance) func() {
		if i.State != Stopped {
			return nil
		}
		s.faults.charge(i)
		i.change(Pending, "", s.faults.lag.Pending)
		s.publish(i)
		i.busy++
		return func() { s.start(i) }
	})
}

func (s *Server) stopInstances(c *call) (answer, *refusal) {
	c.boolean("Force", false)
	c.boolean("SkipOsShutdown", false)
	all, bad := s.named(c)
	if bad != nil {
		return nil, bad
	}
	for _, i := range all {
		if i.State == Pending || i.State == ShuttingDown || i.State == Terminated {
			return nil, refuse("IncorrectInstanceState", "The instance '%s' is not in a state from which it can be stopped.", i.ID)
		}
	}
	return s.power(c, all, s.stopping)
}

// stopping begins to stop an instance that runs.
func (s *Server) stopping(i *instance) func() {
	if i.State != Running {
		return nil
	}
	i.change(Stopping, "Client.UserInitiatedShutdown", s.faults.lag.Stopping)
	i.busy++
	return func() { s.stop(i) }
}

func (s *Server) terminateInstances(c *call) (answer, *refusal) {
	c.boolean("Force", false)
	c.boolean("SkipOsShutdown", false)
	all, bad := s.named(c)
	if bad != nil {
		return nil, bad
	}
	all, bad = unprotected(all)
	if bad != nil && (c.dry || len(all) == 0) {
		return nil, bad
	}
	out, failed := s.power(c, all, s.shuttingDown)
	if failed == nil {
		failed = bad
	}
	return out, failed
}

// unprotected are the instances that end although others of the call are
// protected: those in zones in which none is. The call fails even so.
func unprotected(all []*instance) ([]*instance, *refusal) {
	protected := map[string]*instance{}
	for _, i := range all {
		if i.Protected && i.State != Terminated {
			protected[i.Zone] = i
		}
	}
	var out []*instance
	var bad *refusal
	for _, i := range all {
		if p := protected[i.Zone]; p == nil {
			out = append(out, i)
		} else if bad == nil {
			bad = refuse("OperationNotPermitted", "The instance '%s' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.", p.ID)
		}
	}
	return out, bad
}

// shuttingDown begins to end an instance.
func (s *Server) shuttingDown(i *instance) func() {
	if i.State == Terminated || i.State == ShuttingDown && !i.stuck {
		return nil
	}
	i.stuck = false
	i.change(ShuttingDown, "Client.UserInitiatedShutdown", s.faults.lag.ShuttingDown)
	i.busy++
	return func() { s.terminate(i) }
}

// named are the instances that a call names. All parameters that the action has
// besides must have been read.
func (s *Server) named(c *call) ([]*instance, *refusal) {
	ids := c.list("InstanceId")
	if len(ids) == 0 {
		c.refuse("InvalidParameterCombination", "No instances specified")
	}
	if bad := c.sound(); bad != nil {
		return nil, bad
	}
	var out []*instance
	for _, id := range ids {
		i, bad := s.instance(id)
		if bad != nil {
			return nil, bad
		}
		out = append(out, i)
	}
	return out, nil
}

// power changes instances and answers what they were and are.
func (s *Server) power(c *call, all []*instance, begin func(*instance) func()) (answer, *refusal) {
	if bad := c.ready(); bad != nil {
		return nil, bad
	}
	var out []changeXML
	for _, i := range all {
		from := i.State
		if later := begin(i); later != nil {
			c.later = append(c.later, later)
		}
		out = append(out, changeXML{ID: i.ID, Current: stateOf(i.State), Previous: stateOf(from)})
	}
	return answer{{"instancesSet", setOf(out, whole)}}, nil
}

// StopByHand stops an instance as somebody does at the console.
func (s *Server) StopByHand(id string) { s.byHand(id, s.stopping) }

// TerminateByHand ends an instance as somebody does at the console, who takes
// its protection away first.
func (s *Server) TerminateByHand(id string) { s.byHand(id, s.shuttingDown) }

func (s *Server) byHand(id string, begin func(*instance) func()) {
	s.mu.Lock()
	i, ok := s.instances[id]
	if !ok {
		s.mu.Unlock()
		panic("no instance " + id)
	}
	later := begin(i)
	s.mu.Unlock()
	if later != nil {
		later()
	}
}
