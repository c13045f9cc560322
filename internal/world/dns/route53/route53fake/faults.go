package route53fake

// Fault is what goes wrong with one call; the zero Fault is nothing.
type Fault struct {
	// Before is what somebody else does just before the call is carried out.
	Before func()
	// Code refuses the call, with an HTTP status, 400 by default; it is not carried
	// out.
	Code   string
	Status int
	// LoseRequest hangs up before the call is carried out, LoseAnswer after it was.
	LoseRequest, LoseAnswer bool
	// StatusAfter hides a call that was carried out behind an HTTP status, and Body,
	// if it is not nil, behind something else.
	StatusAfter int
	Body        []byte
}

// faults are what goes wrong from now on.
type faults struct {
	coming  map[string][]Fault // with the next calls of an action
	stall   bool               // from the next batch on
	stalled bool               // now
}

// On makes a fault of the nth call of an action from now, from 1.
func (f *Fake) On(action string, n int, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.faults.coming == nil {
		f.faults.coming = map[string][]Fault{}
	}
	all := f.faults.coming[action]
	for len(all) < n {
		all = append(all, Fault{})
	}
	all[n-1] = fault
	f.faults.coming[action] = all
}

// LoseRequest hangs up on the next batch before it is carried out.
func (f *Fake) LoseRequest() { f.On(change, 1, Fault{LoseRequest: true}) }

// LoseAnswer carries out the next batch and hangs up.
func (f *Fake) LoseAnswer() { f.On(change, 1, Fault{LoseAnswer: true}) }

// Meanwhile calls what somebody else does between the list and the next batch.
func (f *Fake) Meanwhile(act func()) { f.On(change, 1, Fault{Before: act}) }

// Throttle refuses the next calls of an action as too many.
func (f *Fake) Throttle(action string, calls int) {
	for n := range calls {
		f.On(action, n+1, Fault{Code: "Throttling"})
	}
}

// Busy refuses the next batches because an earlier one is not done.
func (f *Fake) Busy(batches int) {
	for n := range batches {
		f.On(change, n+1, Fault{Code: "PriorRequestNotComplete"})
	}
}

// Stall takes the next batch, and all calls after it, and says nothing.
func (f *Fake) Stall() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults.stall = true
}

// Down refuses connections from now on.
func (f *Fake) Down() { f.server.Close() }

// next is the fault of a call of an action, which is counted; hangs says that it gets
// no answer.
func (f *Fake) next(action string) (fault Fault, hangs bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[action]++
	f.faults.stalled = f.faults.stalled || f.faults.stall && action == change
	if all := f.faults.coming[action]; len(all) > 0 {
		fault, f.faults.coming[action] = all[0], all[1:]
	}
	return fault, f.faults.stalled
}
