package member

import (
	"context"
	"time"
)

// Starting is a member on its way up, as whoever starts it sees it.
type Starting struct {
	// Status reads what it says of itself: [ReadStatus], with whose rights that
	// takes.
	Status func() (Status, error)
	// Poll is how often it is looked at.
	Poll time.Duration
	// Occupied says who listens on one of its ports; nil for nobody.
	Occupied func(context.Context) error
	// Serves says whether etcd serves its peers. Its peer port is open long
	// before that, and a member that starts meanwhile asks it and waits for up
	// to 7 s; the metrics listener is the last one etcd opens
	// (server/embed/etcd.go, StartEtcd), whether or not there is a quorum yet.
	Serves func(context.Context) bool
	// Ended is asked while its status speaks of no process that runs. It says
	// why the member ended; nil while a process may still be about to say who
	// it is.
	Ended func(context.Context, Status) error
}

const (
	// gateWaits is how long a start gate must wait before it counts as
	// waiting: DNS is often right a moment later.
	gateWaits = 300 * time.Millisecond
	// staysPut is how long somebody must listen on a port to occupy it.
	staysPut = 300 * time.Millisecond
)

// Vacant waits until nobody listens on the member's ports. It returns false if
// that is the member itself, started by somebody else meanwhile: it says who it
// is before it listens. Who goes within [staysPut] is no occupant: a place that
// is being chosen for another host, or a process on its way out.
func (s Starting) Vacant(ctx context.Context) (free bool, err error) {
	for began := time.Now(); ; {
		occupied := s.Occupied(ctx)
		now, err := s.Status()
		switch {
		case err != nil:
			return false, err
		case now.Running():
			return false, nil
		case occupied == nil:
			return true, nil
		case time.Since(began) >= staysPut:
			return false, occupied
		}
		if err := s.pause(ctx); err != nil {
			return false, err
		}
	}
}

// Await returns when the member serves its peers or its gate waits, with what
// it says then, or the reason why it ended.
func (s Starting) Await(ctx context.Context) (Status, error) {
	var waits time.Time // since when the gate waits; zero if it does not
	for {
		now, err := s.Status()
		if err != nil {
			return now, err
		}
		switch {
		case !now.Running():
			if err := s.Ended(ctx, now); err != nil {
				return now, err
			}
		case now.Gate == "":
			waits = time.Time{}
			if s.Serves(ctx) {
				return now, nil
			}
		case waits.IsZero():
			waits = time.Now()
		case time.Since(waits) >= gateWaits:
			return now, nil
		}
		if err := s.pause(ctx); err != nil {
			return now, err
		}
	}
}

func (s Starting) pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(s.Poll):
		return nil
	}
}
