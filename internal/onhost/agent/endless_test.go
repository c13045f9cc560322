package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent/agenttest"
	"github.com/pleiad-etcd/pleiad/internal/system/bound"
)

// hostile is a stream whose other side says some words, in answer to as many
// requests, and then one without end.
type hostile struct {
	io.Reader
	io.WriteCloser
	sent *counted
}

type counted struct {
	letter byte
	mu     sync.Mutex // guards what follows
	bytes  int
}

func (c *counted) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = c.letter
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += len(b)
	return len(b), nil
}

func (c *counted) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

type drop struct{ io.Writer }

func (drop) Close() error { return nil }

func newHostile(words string) *hostile {
	sent := &counted{letter: 'x'}
	return &hostile{Reader: io.MultiReader(strings.NewReader(words), sent), WriteCloser: drop{io.Discard}, sent: sent}
}

const greeting = `{"pleiadAgent":1,"binary":"/pleiad"}`

// A machine that greets or answers without end is given up, and takes no memory.
func TestEndlessAgent(t *testing.T) {
	const most = 2 << 20
	t.Run("greeting", func(t *testing.T) {
		h := newHostile(`{"pleiadAgent":1,"binary":"`)
		if _, err := agent.NewClient(h); !errors.Is(err, bound.ErrTooLong) || h.sent.total() > most {
			t.Errorf("%v after %d bytes, want that it is too long", err, h.sent.total())
		}
	})
	t.Run("answer", func(t *testing.T) {
		h := newHostile(greeting + `{"id":1,"error":"`)
		c, err := agent.NewClient(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Inspect(t.Context(), cluster.Host{}); !errors.Is(err, bound.ErrTooLong) || h.sent.total() > most {
			t.Errorf("%v after %d bytes, want that it is too long", err, h.sent.total())
		}
		if !c.Ended() && c.Close() != nil {
			t.Error("the client goes on")
		}
	})
	t.Run("answers that nobody asked for", func(t *testing.T) {
		from, to := io.Pipe()
		defer from.Close()
		go func() {
			_, err := io.WriteString(to, greeting)
			for err == nil {
				_, err = io.WriteString(to, `{"id":7}`)
			}
		}()
		c, err := agent.NewClient(struct {
			io.Reader
			io.WriteCloser
		}{from, drop{io.Discard}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Inspect(t.Context(), cluster.Host{}); err == nil || !strings.Contains(err.Error(), "nobody asked for") {
			t.Errorf("%v, want that nobody asked for it", err)
		}
	})
}

// An agent, which is root, takes no request without end either.
func TestEndlessRequest(t *testing.T) {
	sent := &counted{letter: 'x'}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m := agenttest.New(t)
	err := agent.Serve(ctx, m.Host(), io.MultiReader(strings.NewReader(`{"id":1,"do":"`), sent), io.Discard)
	if !errors.Is(err, bound.ErrTooLong) || sent.total() > 8<<20 {
		t.Errorf("%v after %d bytes, want that it is too long", err, sent.total())
	}
}

// Late is not unasked: the answer to a request that was given up is dropped, and
// the next one is answered.
func TestLateAnswer(t *testing.T) {
	from, to := io.Pipe()
	requests, out := io.Pipe()
	late := make(chan struct{})
	go func() {
		_, _ = io.WriteString(to, greeting)
		d := json.NewDecoder(requests)
		var q struct{ ID uint64 }
		for range 2 {
			if d.Decode(&q) != nil {
				return
			}
			if q.ID == 1 {
				<-late
			}
			_ = json.NewEncoder(to).Encode(map[string]any{"id": q.ID, "error": "said"})
		}
	}()
	c, err := agent.NewClient(struct {
		io.Reader
		io.WriteCloser
	}{from, out})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	first := make(chan error)
	go func() { _, err := c.Inspect(ctx, cluster.Host{}); first <- err }()
	cancel(enough)
	if err := <-first; !errors.Is(err, enough) {
		t.Fatalf("the first: %v", err)
	}
	close(late)
	if _, err := c.Inspect(t.Context(), cluster.Host{}); err == nil || err.Error() != "said" {
		t.Errorf("the second: %v, want its answer", err)
	}
	to.CloseWithError(io.EOF)
}
