package member

import (
	"context"
	"fmt"
	"time"
)

// Starting is a member that is being started, as the program that starts it sees
// it.
type Starting struct {
	// Status is [ReadStatus] with the rights that it needs.
	Status func() (Status, error)
	// Poll is how often it is inspected.
	Poll time.Duration
	// Occupied says who listens on one of its ports; nil for nobody.
	Occupied func(context.Context) error
	// Serves says whether etcd serves its peers. Its peer port is open long
	// before that, and a member that starts meanwhile asks it and waits for up
	// to 7 s; the metrics listener is the last one etcd opens
	// (server/embed/etcd.go, StartEtcd), whether or not there is a quorum yet.
	Serves func(context.Context) bool
	// Ended is called while the status names no running process. It says why the
	// member ended; nil while a process may not have written its status yet.
	Ended func(context.Context, Status) error
}

const (
	// gateWaits is how long a gate must wait before that is reported: DNS is
	// often right a moment later.
	gateWaits = 300 * time.Millisecond
	// staysPut is how long somebody must listen on a port to occupy it.
	staysPut = 300 * time.Millisecond
	// speaks is how long a process may take to write its status, which it does before
	// anything else: the program is read from a slow disk first.
	speaks = 30 * time.Second
)

// Vacant waits until the member's ports are free. It returns false if the member
// itself listens, because another command has started it: it writes its status
// before it listens. A listener that is gone within [staysPut] is ignored:
// another host may be trying the address, or a process may be ending.
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
	for began := time.Now(); ; {
		now, err := s.Status()
		if err != nil {
			return now, err
		}
		switch {
		case !now.Running():
			if err := s.Ended(ctx, now); err != nil {
				return now, err
			}
			if time.Since(began) >= speaks {
				return now, fmt.Errorf("its process has said nothing of itself for %s", speaks)
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
