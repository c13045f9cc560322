package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
	"github.com/pleiad-etcd/pleiad/internal/sim"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// put puts a spec where an earlier up would have.
func put(t *testing.T, root, text string) {
	t.Helper()
	s, err := spec.Parse("pleiad.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	h, err := statedir.Create(context.Background(), root, s.Cluster, statedir.SeatOf(s))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.SaveSpec(spec.Encode(s)); err != nil {
		t.Fatal(err)
	}
}

// stage is a simulated world and a real state directory, in which a caller of
// operations lives. The keys are those of the simulation.
type stage struct {
	*testing.T
	root   string
	w      *sim.World
	store  *sim.Store
	spec   cluster.Spec // what is asked for
	runs   int
	looks  int        // how often it was asked which cluster it is
	begun  sync.Mutex // guards steps: those of a batch begin together
	steps  []string   // that were begun
	reckon func(step string)
	lock   *statedir.Lock // of somebody else
	swept  []string       // whether data was to be kept, each time
}

// staged runs a test on a stage, in virtual time.
func staged(t *testing.T, f func(*stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{T: t, root: t.TempDir(), store: &sim.Store{}, reckon: func(string) {}, spec: cluster.Spec{Cluster: "blue", Domain: "blue.test", Members: 3, TLS: true,
			Hosts: cluster.HostsSpec{Local: &cluster.LocalHosts{}}, DNS: cluster.DNSSpec{Embedded: &cluster.EmbeddedDNS{}}}}
		s.w = sim.New(sim.Options{Seed: 1, Spec: s.spec, Idle: synctest.Wait, Negative: 5 * time.Second})
		f(s)
		if broken := s.w.Violations(); len(broken) > 0 {
			t.Error(broken)
		}
	})
}

func (s *stage) find(context.Context) (Target, error) {
	s.looks++
	return target(s.root, s.spec)
}

// target is the cluster of a spec, with its home if it has one.
func target(root string, spec cluster.Spec) (t Target, err error) {
	t.Root, t.Spec = root, spec
	if t.Home, err = statedir.Open(root, spec.Cluster); err != nil {
		t.Home = nil
		if errors.Is(err, statedir.ErrNone) {
			err = nil
		}
		return t, err
	}
	t.Stored, err = Stored(t.Home)
	return t, err
}

// heard is a simulated controller as the receiver of what happens in its loop.
type heard struct{ *sim.Controller }

func (heard) Close() {}

// do runs an operation to its end. change, if not nil, says how its caller differs
// from one that agrees to all and is shown a healthy cluster.
func (s *stage) do(op func(Operator, context.Context) (Result, error), change func(*Operator, context.CancelCauseFunc)) (r Result, err error) {
	s.Helper()
	s.runs++
	c := s.w.Controller(fmt.Sprintf("caller-%d", s.runs), s.store)
	o := New("test", s.find, func(_ context.Context, t Target) (real.World, error) {
		return real.World{World: c.World(t.Spec), Sweep: func(_ context.Context, keepData bool) error {
			s.swept = append(s.swept, fmt.Sprintf("keep %t", keepData))
			return nil
		}}, nil
	})
	o.Agreed = true
	o.Progress = func() Progress { return heard{c} }
	o.Client = func(context.Context, cluster.Spec, real.World) (Health, error) { return Health{Verdict: Healthy}, nil }
	s.steps = nil
	o.Boundary = func(_ context.Context, when, step string) {
		s.begun.Lock()
		defer s.begun.Unlock()
		if when == "before" {
			s.steps = append(s.steps, step)
			s.reckon(step)
		}
	}
	c.Go(func(ctx context.Context) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		if change != nil {
			change(&o, cancel)
		}
		if o.Agreed {
			c.Consent = sim.LoseData
		}
		r, err = op(o, ctx)
	})
	if err := s.w.Run(time.Hour, c.Ended); err != nil {
		s.Fatal(err)
	}
	if h, err := statedir.Open(s.root, s.spec.Cluster); err == nil && s.lock == nil {
		lock, err := h.Lock("somebody else")
		if err != nil {
			s.Fatalf("the lock was not given back: %v", err)
		}
		if err := lock.Release(); err != nil {
			s.Fatal(err)
		}
	}
	return r, err
}

func destroy(o Operator, ctx context.Context) (Result, error) { return o.Destroy(ctx, false) }

// up brings the cluster up, which is where most stories begin.
func (s *stage) up() {
	s.Helper()
	if r, err := s.do(Operator.Up, nil); err != nil || !r.Reached() || r.Health == nil {
		s.Fatalf("up: %v, %+v", err, r.Outcome)
	}
}

// members is the size in the stored spec; 0 without a home, -1 without a spec.
func (s *stage) members() int {
	s.Helper()
	t, err := s.find(s.Context())
	switch {
	case err != nil:
		s.Fatal(err)
	case t.Home == nil:
		return 0
	case t.Stored == nil:
		return -1
	}
	return t.Stored.Members
}

// A cluster is begun, found as it should be, and taken down with its home.
func TestUpAndDestroy(t *testing.T) {
	staged(t, func(s *stage) {
		s.up()
		if s.members() != 3 {
			t.Errorf("stored: %d members", s.members())
		}
		if s.up(); len(s.steps) != 0 {
			t.Errorf("the second time: %q", s.steps)
		}
		if r, err := s.do(destroy, nil); err != nil || !r.Reached() || s.members() != 0 || len(r.Files) != 0 {
			t.Errorf("destroy: %v, %+v, %d members, left %q", err, r.Outcome, s.members(), r.Files)
		}
		if _, err := s.do(destroy, nil); !errors.Is(err, statedir.ErrNone) {
			t.Errorf("destroy of nothing: %v", err)
		}
	})
}

// What is left of hosts that others removed goes, or is kept, as all else.
func TestDestroySweeps(t *testing.T) {
	staged(t, func(s *stage) {
		for _, keepData := range []bool{true, false} {
			s.up()
			end := func(o Operator, ctx context.Context) (Result, error) { return o.Destroy(ctx, keepData) }
			if r, err := s.do(end, nil); err != nil || !r.Reached() {
				t.Fatalf("destroy: %v, %+v", err, r.Outcome)
			}
		}
		if want := []string{"keep true", "keep false"}; !slices.Equal(s.swept, want) {
			t.Errorf("swept: %q, want %q", s.swept, want)
		}
	})
}

// What nobody agrees to is not done, and the question is all that there is to
// know.
func TestWithoutConsentNothingIsDone(t *testing.T) {
	staged(t, func(s *stage) {
		s.up()
		no := errors.New("not today")
		var asked []Question
		_, err := s.do(destroy, func(o *Operator, _ context.CancelCauseFunc) {
			o.Agreed = false
			o.Ask = func(_ context.Context, q Question) error { asked = append(asked, q); return no }
		})
		if !errors.Is(err, no) || len(s.steps) != 0 || s.members() != 3 || len(asked) != 1 {
			t.Fatalf("%v, steps %q, %d members, asked %d times", err, s.steps, s.members(), len(asked))
		}
		q := asked[0]
		goes := func(p plan.Step) bool { return strings.HasPrefix(plan.String(p), "terminate host") }
		if hosts := q.State.Hosts.Or(nil); len(hosts) != 3 || !slices.ContainsFunc(q.Destroys(), goes) || len(q.Refused()) != 0 || q.Target.Home == nil {
			t.Errorf("asked about %d hosts, %v", len(hosts), q.Destroys())
		}
		_, err = s.do(destroy, func(o *Operator, _ context.CancelCauseFunc) { o.Agreed = false })
		if !errors.Is(err, ErrNoConsent) || len(s.steps) != 0 || s.members() != 3 {
			t.Errorf("where nobody is asked: %v, steps %q", err, s.steps)
		}
		s.up()
	})
}

// occupy lets somebody else have the lock until leave.
func (s *stage) occupy() {
	s.Helper()
	h, err := statedir.Open(s.root, s.spec.Cluster)
	if err == nil {
		s.lock, err = h.Lock("somebody else")
	}
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) leave() {
	if err := s.lock.Release(); err != nil {
		s.Error(err)
	}
	s.lock = nil
}

// While somebody else is at work nothing is even looked at. Once the lock is
// free, what is to be done is asked for again.
func TestOthersAreWaitedFor(t *testing.T) {
	for name, op := range map[string]func(Operator, context.Context) (Result, error){"up": Operator.Up, "destroy": destroy} {
		staged(t, func(s *stage) {
			s.up()
			for _, leaves := range []bool{false, true} {
				s.occupy()
				s.looks = 0
				waits := 0
				r, err := s.do(op, func(o *Operator, _ context.CancelCauseFunc) {
					o.Timeout = 5 * time.Second
					o.Held = func(who statedir.Holder, _ Target) {
						if waits++; who.Command != "somebody else" {
							t.Errorf("%s waits for %q", name, who.Command)
						}
						if leaves {
							s.leave()
						}
					}
					open := o.Open
					o.Open = func(ctx context.Context, t Target) (real.World, error) {
						if s.lock != nil {
							s.Errorf("%s looks at the world", name)
						}
						return open(ctx, t)
					}
				})
				if waits != 1 {
					t.Errorf("%s waited for %d others", name, waits)
				}
				if leaves {
					if err != nil || !r.Reached() || s.looks != 2 {
						t.Errorf("%s, when the lock was free: %v, asked %d times what is to be done", name, err, s.looks)
					}
					continue
				}
				var held *statedir.HeldError
				if !errors.As(err, &held) || len(s.steps) != 0 {
					t.Errorf("%s: %v, steps %q", name, err, s.steps)
				}
				s.leave()
			}
		})
	}
}

// Whatever moment an operation is interrupted at, the lock is given back, and the
// next one goes on. Of a first up that has done nothing yet, nothing is left.
func TestInterruptedAtAnyStep(t *testing.T) {
	cause := errors.New("somebody pressed a key")
	for at := 0; ; at++ {
		ended := false
		staged(t, func(s *stage) {
			r, err := s.do(Operator.Up, func(o *Operator, cancel context.CancelCauseFunc) {
				if at == 0 {
					o.Show = func(Target, []plan.Plan) error { cancel(cause); return nil }
				}
				s.reckon = func(string) {
					if len(s.steps) == at {
						cancel(cause)
					}
				}
			})
			s.reckon = func(string) {}
			if ended = err == nil; ended {
				return
			}
			if !errors.Is(err, cause) || r.Health != nil {
				t.Errorf("step %d: %v", at, err)
			}
			if want := 3 * min(r.Steps, 1); s.members() != want {
				t.Errorf("step %d: %d members are stored after %d steps", at, s.members(), r.Steps)
			}
			s.up()
		})
		if ended {
			if at < 10 {
				t.Errorf("only %d steps", at)
			}
			return
		}
	}
}

// A spec that asks for what is refused does not take the place of the former one,
// nor does one of which nothing was done; a first one of that kind leaves nothing
// behind.
func TestASpecIsKeptIfItWasObeyed(t *testing.T) {
	staged(t, func(s *stage) {
		s.up()
		s.spec.Members, s.spec.TLS = 5, false
		r, err := s.do(Operator.Up, nil)
		if err != nil || r.Reached() || len(r.Refusals) == 0 || s.members() != 3 {
			t.Errorf("%v, %+v, %d members are stored", err, r.Refusals, s.members())
		}
	})
	staged(t, func(s *stage) {
		s.up()
		s.spec.Etcd.Options = map[string]string{"quota-backend-bytes": "4294967296"}
		cause := errors.New("somebody pressed a key")
		for at, want := range []int{0, 0, 1} { // one step has been done when the second one begins
			_, err := s.do(Operator.Up, func(o *Operator, cancel context.CancelCauseFunc) {
				o.Show = func(_ Target, road []plan.Plan) error {
					if len(road) < 2 {
						t.Errorf("a road of %d", len(road))
					}
					if at == 0 {
						cancel(cause)
					}
					return nil
				}
				s.reckon = func(string) {
					if len(s.steps) == at {
						cancel(cause)
					}
				}
			})
			now, found := s.find(t.Context())
			if !errors.Is(err, cause) || found != nil || len(now.Stored.Etcd.Options) != want {
				t.Errorf("ended at step %d: %v; stored %v, %v", at, err, now.Stored.Etcd.Options, found)
			}
		}
	})
	staged(t, func(s *stage) {
		broken := errors.New("the key is a folder")
		r, err := s.do(Operator.Up, func(o *Operator, _ context.CancelCauseFunc) {
			o.Open = func(context.Context, Target) (real.World, error) { return real.World{}, broken }
		})
		if !errors.Is(err, broken) || r.Target.Home == nil || s.members() != 0 {
			t.Errorf("%v, %d members are stored", err, s.members())
		}
	})
}

// A resolver that remembers what was there before, or that there was nothing, is
// waited for, where it is that of the machine; the cluster's own has no excuse.
func TestUpWaitsForTheResolver(t *testing.T) {
	var gone error = &discovery.Error{Kind: discovery.ErrNotFound}
	for _, c := range []struct {
		name     string
		resolver string
		missing  int // looks that find nothing
		fails    error
		healthy  int // look
		looks    int
		told     int
		reached  bool
	}{
		{"at once", "", 0, nil, 1, 1, 0, true},
		{"after a while", "", 0, nil, 4, 4, 1, true},
		{"never", "", 0, nil, 0, 62, 1, false},
		{"never, but it is ours", "192.0.2.53:53", 0, nil, 0, 1, 0, false},
		{"first it remembers that there was nothing", "", 2, gone, 4, 4, 2, true},
		{"it always finds nothing", "", 99, gone, 0, 62, 1, false},
		{"ours finds nothing", "192.0.2.53:53", 99, gone, 0, 1, 0, false},
		{"nothing can be found so", "", 99, &discovery.Error{Kind: discovery.ErrInvalidArgument}, 0, 1, 0, false},
	} {
		staged(t, func(s *stage) {
			looks := 0
			var told []string
			r, err := s.do(Operator.Up, func(o *Operator, _ context.CancelCauseFunc) {
				open := o.Open
				o.Open = func(ctx context.Context, t Target) (real.World, error) {
					w, err := open(ctx, t)
					w.Resolver = c.resolver
					return w, err
				}
				o.Client = func(context.Context, cluster.Spec, real.World) (Health, error) {
					switch looks++; {
					case looks == c.healthy:
						return Health{Verdict: Healthy}, nil
					case looks <= c.missing:
						return Health{}, c.fails
					}
					return Health{Verdict: Degraded, Problems: []string{"one is not listed"}}, nil
				}
				o.Stale = func(why string) { told = append(told, why) }
			})
			reached, unseen := err == nil && r.Reached(), errors.As(err, new(*UnseenError))
			if reached != c.reached || looks != c.looks || len(told) != c.told || c.missing < 99 && err != nil || c.missing == 99 && !errors.Is(err, c.fails) || unseen != (c.fails == gone && c.missing == 99) {
				t.Errorf("%s: %v, reached %t after %d looks, told %q", c.name, err, reached, looks, told)
			}
			first := "one is not listed"
			if c.missing > 0 {
				first = c.fails.Error()
			}
			if len(told) > 0 && told[0] != first {
				t.Errorf("%s: told %q, want %q first", c.name, told, first)
			}
		})
	}
}

// What is shown before anything is done asks who hears from a member whose host is lost,
// as the loop does: what it shows is what will be done.
func TestPreviewAsksWhoHears(t *testing.T) {
	staged(t, func(s *stage) {
		s.up()
		if !s.w.Afflict("vanish") {
			t.Fatal("there was no host to lose")
		}
		asked := func() bool {
			return slices.ContainsFunc(s.w.Trace(), func(line string) bool { return strings.Contains(line, "heard by") })
		}
		shown := false
		if _, err := s.do(Operator.Up, func(o *Operator, _ context.CancelCauseFunc) {
			o.Show = func(Target, []plan.Plan) error {
				shown = true
				if !asked() {
					t.Error("nobody was asked before the plan was shown")
				}
				return nil
			}
		}); err != nil || !shown {
			t.Errorf("%v, shown %t", err, shown)
		}
	})
}
