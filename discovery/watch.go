package discovery

import (
	"context"
	"iter"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// retryPause is how long after a first failure [Watch] asks again.
const retryPause = time.Second

// jitter is the fraction by which a pause of [Watch] may be shorter or longer,
// so that the clients of a cluster do not come to ask in step.
const jitter = 0.1

// Watch looks up the client endpoints of a domain ([Lookup]) and yields them;
// then it looks them up again at intervals ([WithInterval]) and yields them
// whenever they differ. It goes on until ctx ends or the loop is left, and then
// returns with no goroutine left behind:
//
//	for cluster, err := range discovery.Watch(ctx, "example.com") {
//		if err != nil {
//			log.Print(err) // and keep what we have
//			continue
//		}
//		use(cluster.Endpoints)
//	}
//
// Every failed lookup is yielded too, together with the last good cluster (an
// empty one before the first success). An answer that there are no records is
// a failure like any other: members may leave, but a cluster does not vanish
// because a zone was reloaded badly. After a failure Watch asks again in about
// a second, then waits twice as long each time, up to the interval; the first
// success after failures is yielded even if nothing has changed. An argument
// that can never be asked for ([ErrInvalidArgument]) ends the sequence.
//
// What was found first, TLS or plain, is all that is asked for from then on:
// a client of one kind cannot turn into one of the other. With [WithAddresses],
// a host whose addresses of one family, or of both, become unknown keeps those of
// that family last known.
//
// The clusters that Watch yields are the caller's to keep and change. While
// the caller's loop is at work nothing is looked up.
func Watch(ctx context.Context, domain string, opts ...Option) iter.Seq2[Cluster, error] {
	return func(yield func(Cluster, error) bool) {
		q, err := newQuestion("client", domain, opts)
		if err != nil {
			yield(Cluster{}, err)
			return
		}
		q.watcher().run(ctx, yield)
	}
}

func (q *question) watcher() *watcher {
	return &watcher{
		interval: q.interval,
		lookup:   func(ctx context.Context) (found, error) { return q.lookup(ctx) }, // as pinned by then
		pin:      q.pin,
	}
}

// pin asks from now on only for the records of one kind.
func (q *question) pin(tls bool) {
	q.choice = plainOnly
	if tls {
		q.choice = tlsOnly
	}
}

// watcher is the loop of Watch, apart from DNS.
type watcher struct {
	interval time.Duration
	lookup   func(context.Context) (found, error)
	pin      func(tls bool) // called after the first success

	last     Cluster // last good one; no endpoints before the first
	failures int     // since the last success
}

func (w *watcher) run(ctx context.Context, yield func(Cluster, error) bool) {
	for ctx.Err() == nil {
		c, err := w.lookup(ctx)
		if ctx.Err() != nil {
			return // its error would be ours, not DNS's
		}
		if w.accept(c, err) && !yield(w.last.clone(), err) {
			return
		}
		if !sleep(ctx, w.pause()) {
			return
		}
	}
}

// accept takes in the outcome of a lookup and says whether it is news.
func (w *watcher) accept(c found, err error) bool {
	if err != nil {
		w.failures++
		return true
	}
	if len(w.last.Endpoints) == 0 {
		w.pin(c.Endpoints[0].TLS)
	}
	c.keepAddresses(w.last.Endpoints)
	news := w.failures > 0 || !slices.EqualFunc(c.Endpoints, w.last.Endpoints, Endpoint.same)
	w.last, w.failures = c.Cluster, 0
	return news
}

// keepAddresses gives hosts the addresses they had of each family that is unknown.
func (f found) keepAddresses(before []Endpoint) {
	for i, unknown := range f.unknown {
		e := &f.Endpoints[i]
		j := slices.IndexFunc(before, func(b Endpoint) bool { return b.Host == e.Host })
		if j < 0 {
			continue
		}
		for _, a := range before[j].Addrs {
			if unknown.has(a) {
				e.Addrs = append(e.Addrs, a)
			}
		}
		slices.SortFunc(e.Addrs, netip.Addr.Compare)
		e.Addrs = slices.Compact(e.Addrs)
	}
}

// pause is how long to wait for the next lookup.
func (w *watcher) pause() time.Duration {
	d := w.interval
	if w.failures > 0 {
		d = min(d, retryPause<<min(w.failures-1, 30)) // 34 years, without overflow
	}
	return time.Duration(float64(d) * (1 + jitter*(2*rand.Float64()-1)))
}

// sleep waits for d, or returns false as soon as ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
