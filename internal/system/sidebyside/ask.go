package sidebyside

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"time"
)

// said is what one name server answered.
type said struct {
	at      int // its place in the order
	message []byte
	err     error
}

// code is that of a response (RFC 1035, section 4.1.1).
func (s said) code() byte { return s.message[3] & 0x0f }

// found says whether there are such records.
func (s said) found() bool {
	return s.err == nil && s.code() == 0 && binary.BigEndian.Uint16(s.message[6:]) > 0
}

// denied says whether there are no such records, or no such name. What is neither
// found nor denied is about the server.
func (s said) denied() bool {
	return s.err == nil && !s.found() && (s.code() == 0 || s.code() == 3)
}

// silent says that nothing came, not even a refusal.
func (s said) silent() bool {
	timeout, ok := s.err.(net.Error)
	return ok && timeout.Timeout()
}

// lookup is one question to several name servers.
type lookup struct {
	*Servers
	order []string
	ask   func(server string) ([]byte, error)
	open  map[int]time.Time // asked since then
	asked int
	said  chan said
	all   sync.WaitGroup
}

// next asks the next one, if there is one.
func (l *lookup) next() {
	if l.asked == len(l.order) {
		return
	}
	at := l.asked
	l.asked, l.open[at] = at+1, time.Now()
	l.all.Go(func() {
		message, err := l.ask(l.order[at])
		l.said <- said{at, message, err}
	})
}

// heard notes an answer, or that none came.
func (l *lookup) heard(s said) {
	var silent time.Duration
	if s.silent() {
		silent = time.Since(l.open[s.at])
	}
	l.silent.note(l.order[s.at], silent)
	delete(l.open, s.at)
}

// leave notes who has not answered at the end.
func (l *lookup) leave() {
	for at, since := range l.open {
		l.silent.note(l.order[at], time.Since(since))
	}
}

// stands says whether nobody before the one that denies is waited for: who was mute
// once has had its time.
func (l *lookup) stands(denial said) bool {
	for at, since := range l.open {
		if at < denial.at && max(time.Since(since), l.silent.of(l.order[at])) < grace {
			return false
		}
	}
	return true
}

// askAll asks name servers, each a little later than the one before it, or as soon
// as that one has failed. It returns the first answer with records, or that there are
// none, as soon as that stands; without either, the last that came. It leaves nothing
// behind.
func (s *Servers) askAll(ctx context.Context, network string, servers []string, query []byte) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	l := &lookup{Servers: s, order: servers, open: map[int]time.Time{}, said: make(chan said, len(servers)),
		ask: func(server string) ([]byte, error) { return s.exchange(ctx, network, server, query) }}
	defer l.all.Wait()
	defer cancel()
	l.next()
	timer := time.NewTicker(hedge)
	defer timer.Stop()
	var last, denial said
	for len(l.open) > 0 {
		select {
		case <-timer.C:
			l.next()
		case last = <-l.said:
			l.heard(last)
			switch {
			case last.found():
				l.leave()
				return last.message, nil
			case !last.denied():
				l.next()
			case denial.message == nil:
				denial = last
			}
		}
		if denial.message != nil && l.stands(denial) {
			l.leave()
			return denial.message, nil
		}
	}
	if denial.message != nil {
		return denial.message, nil
	}
	return last.message, last.err
}
