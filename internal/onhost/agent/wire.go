package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/system/bound"
)

// Version of the protocol between controller and agent: JSON values, one after
// the other. The agent begins with a greeting; then each request is answered by
// one response, in any order.
const Version = 1

// Bounds of one message in each direction. A host cannot be trusted to stop
// (rule R1 wants an answer of unknown then); a request holds a node and keys.
const (
	maxAnswer  = 1 << 20
	maxRequest = 4 << 20
)

// greeting is the agent's first message. If there is no agent to start, a shell
// sends it instead, with version 0.
type greeting struct {
	Agent  int    `json:"pleiadAgent"` // Version
	Binary string `json:"binary"`      // what runs
	Arch   string `json:"arch"`        // of the machine, as Go names it
	Empty  bool   `json:"empty"`       // version 0 only: nothing of a member is there either
}

type request struct {
	ID   uint64       `json:"id"`
	Do   string       `json:"do"`
	Host cluster.Host `json:"host"`
	// Limit ends the request on the machine, so that nothing continues there
	// after the caller has given up.
	Limit time.Duration `json:"limit"`

	Node     *node.Node        `json:"node,omitempty"`
	Creds    *node.Credentials `json:"credentials,omitempty"`
	Binary   string            `json:"binary,omitempty"`
	Renew    bool              `json:"renew,omitempty"`
	Grace    time.Duration     `json:"grace,omitempty"`
	KeepData bool              `json:"keepData,omitempty"`
	Probe    *Question         `json:"probe,omitempty"`
}

type response struct {
	ID      uint64        `json:"id"`
	Node    *cluster.Node `json:"node,omitempty"`
	Changed []string      `json:"changed,omitempty"`
	Probe   *Machine      `json:"probe,omitempty"`
	Error   string        `json:"error,omitempty"`
	Kind    string        `json:"kind,omitempty"` // of the error; see kinds
}

// kinds are the errors whose identity is preserved between agent and client.
func kinds() map[string]error {
	return map[string]error{"occupied": ErrOccupied, "busy": ErrBusy, "volume missing": ErrVolumeMissing, "contradicted": member.ErrContradicted}
}

// Serve answers requests until in ends. Then it cancels requests in progress and
// waits for them.
func Serve(ctx context.Context, h *Host, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var writing sync.Mutex
	e := json.NewEncoder(out)
	self, err := os.Executable()
	if err == nil {
		err = e.Encode(greeting{Agent: Version, Binary: self, Arch: runtime.GOARCH})
	}
	if err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	var busy sync.WaitGroup
	defer busy.Wait()
	d := bound.NewDecoder(in, maxRequest)
	for {
		var q request
		if err := d.Decode(&q); err != nil {
			cancel(errors.New("the controller has hung up"))
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read request: %w", err)
		}
		busy.Go(func() {
			a := h.answer(ctx, q)
			writing.Lock()
			defer writing.Unlock()
			_ = e.Encode(a) // whoever cannot be written to has hung up
		})
	}
}

func (h *Host) answer(ctx context.Context, q request) response {
	ctx, cancel := context.WithTimeoutCause(ctx, q.Limit, fmt.Errorf("not done within %s", q.Limit.Round(time.Millisecond)))
	defer cancel()
	a := response{ID: q.ID}
	var err error
	switch q.Do {
	case "inspect":
		var n cluster.Node
		if n, err = h.Inspect(ctx, q.Host); err == nil {
			a.Node = &n
		}
	case "install":
		a.Changed, err = h.Install(ctx, q.Host, *q.Node, q.Creds, q.Binary, q.Renew)
	case "revert":
		err = h.Revert(ctx, q.Host)
	case "stage":
		err = h.Stage(ctx, q.Host, *q.Node, q.Creds, q.Binary, q.Renew)
	case "unlaid":
		a.Changed, err = h.Unlaid(ctx, q.Host)
	case "start":
		err = h.Start(ctx, q.Host)
	case "stop":
		err = h.Stop(ctx, q.Host, q.Grace)
	case "clear":
		err = h.Clear(ctx, q.Host, q.KeepData)
	case "probe":
		a.Probe = h.Probe(ctx, *q.Probe)
	default:
		err = fmt.Errorf("no agent of version %d does %q", Version, q.Do)
	}
	if err != nil {
		a.Error = err.Error()
		for name, kind := range kinds() {
			if errors.Is(err, kind) {
				a.Kind = name
			}
		}
	}
	return a
}

// Absent is the error of a client where no agent could be started.
type Absent struct {
	// Empty says that nothing of a member is on the machine either.
	Empty bool
}

// Error implements error.
func (a *Absent) Error() string {
	if a.Empty {
		return "there is no pleiad on the machine"
	}
	return "there is a member on the machine, but no pleiad"
}

// Foreign is the error of a client where the agent is of another version.
type Foreign struct {
	Binary  string
	Version int
}

// Error implements error.
func (f *Foreign) Error() string {
	return fmt.Sprintf("greet agent: %s there speaks version %d, this pleiad version %d: use the pleiad that delivered to the machine last", f.Binary, f.Version, Version)
}

// Client speaks with one agent. Methods are safe for concurrent use.
type Client struct {
	// Binary is the path of what runs there.
	Binary string
	// Arch is the machine's architecture as Go names it; empty if it did not say.
	Arch   string
	stream io.ReadWriteCloser

	writing sync.Mutex
	encoder *json.Encoder

	mu      sync.Mutex // guards what follows
	last    uint64
	waiting map[uint64]chan response
	ended   error // why nothing is answered any more
	done    chan struct{}
}

// NewClient speaks over a stream with an agent that has just been started. It
// waits for its greeting; to give up on that, close the stream. Close ends the
// agent.
func NewClient(stream io.ReadWriteCloser) (*Client, error) {
	d := bound.NewDecoder(stream, maxAnswer)
	var g greeting
	if err := d.Decode(&g); err != nil {
		return nil, fmt.Errorf("greet agent: %w", err)
	}
	if g.Agent == 0 {
		return nil, &Absent{g.Empty}
	}
	if g.Agent != Version {
		return nil, &Foreign{g.Binary, g.Agent}
	}
	c := &Client{Binary: g.Binary, Arch: g.Arch, stream: stream, encoder: json.NewEncoder(stream), waiting: map[uint64]chan response{}, done: make(chan struct{})}
	go c.read(d)
	return c, nil
}

// Close ends the agent and returns when nothing of the client runs any more.
func (c *Client) Close() error {
	err := c.stream.Close()
	<-c.done
	return err
}

// Ended says whether the agent no longer answers.
func (c *Client) Ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (c *Client) read(d *bound.Decoder) {
	defer close(c.done)
	for {
		var a response
		err := d.Decode(&a)
		c.mu.Lock()
		if _, asked := c.waiting[a.ID]; err == nil && !asked {
			err = errors.New("the agent sent an answer that nobody asked for")
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the agent has ended")
			}
			c.ended = err
			for _, w := range c.waiting {
				close(w)
			}
			c.waiting = nil
			c.mu.Unlock()
			return
		}
		w := c.waiting[a.ID]
		delete(c.waiting, a.ID)
		c.mu.Unlock()
		w <- a
	}
}

// patience is how long a request may take where the caller sets no limit.
const patience = 2 * time.Minute

// ask sends a request and waits for its answer. After an error that is not the
// agent's own, nobody knows what was done.
func (c *Client) ask(ctx context.Context, q request) (response, error) {
	if ctx.Err() != nil { // nothing is sent that nobody waits for
		return response{}, context.Cause(ctx)
	}
	q.Limit = patience
	if end, ok := ctx.Deadline(); ok {
		q.Limit = time.Until(end)
	}
	w := make(chan response, 1)
	c.mu.Lock()
	if c.ended != nil {
		defer c.mu.Unlock()
		return response{}, c.ended
	}
	c.last++
	q.ID = c.last
	c.waiting[q.ID] = w
	c.mu.Unlock()
	if err := c.send(q); err != nil {
		return response{}, err
	}
	select {
	case a, ok := <-w:
		if !ok {
			c.mu.Lock()
			defer c.mu.Unlock()
			return response{}, c.ended
		}
		return a, a.err()
	case <-ctx.Done():
		return response{}, context.Cause(ctx)
	}
}

func (c *Client) send(q request) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.encoder.Encode(q)
}

// answered is an error that the agent reported; its kind is kept.
type answered struct {
	text string
	kind error
}

func (e *answered) Error() string { return e.text }
func (e *answered) Unwrap() error { return e.kind }

func (a response) err() error {
	if a.Error == "" {
		return nil
	}
	return &answered{a.Error, kinds()[a.Kind]}
}

// Inspect is [Host.Inspect] on the machine.
func (c *Client) Inspect(ctx context.Context, h cluster.Host) (cluster.Node, error) {
	a, err := c.ask(ctx, request{Do: "inspect", Host: h})
	if err != nil || a.Node == nil {
		return cluster.Node{}, err
	}
	return *a.Node, nil
}

// Install is [Host.Install] on the machine.
func (c *Client) Install(ctx context.Context, h cluster.Host, n node.Node, creds *node.Credentials, binary string, renew bool) ([]string, error) {
	a, err := c.ask(ctx, request{Do: "install", Host: h, Node: &n, Creds: creds, Binary: binary, Renew: renew})
	return a.Changed, err
}

// Revert is [Host.Revert] on the machine.
func (c *Client) Revert(ctx context.Context, h cluster.Host) error {
	_, err := c.ask(ctx, request{Do: "revert", Host: h})
	return err
}

// Stage is [Host.Stage] on the machine.
func (c *Client) Stage(ctx context.Context, h cluster.Host, n node.Node, creds *node.Credentials, binary string, renew bool) error {
	_, err := c.ask(ctx, request{Do: "stage", Host: h, Node: &n, Creds: creds, Binary: binary, Renew: renew})
	return err
}

// Unlaid is [Host.Unlaid] on the machine.
func (c *Client) Unlaid(ctx context.Context, h cluster.Host) ([]string, error) {
	a, err := c.ask(ctx, request{Do: "unlaid", Host: h})
	return a.Changed, err
}

// Start is [Host.Start] on the machine.
func (c *Client) Start(ctx context.Context, h cluster.Host) error {
	_, err := c.ask(ctx, request{Do: "start", Host: h})
	return err
}

// Stop is [Host.Stop] on the machine.
func (c *Client) Stop(ctx context.Context, h cluster.Host, grace time.Duration) error {
	_, err := c.ask(ctx, request{Do: "stop", Host: h, Grace: grace})
	return err
}

// Clear is [Host.Clear] on the machine.
func (c *Client) Clear(ctx context.Context, h cluster.Host, keepData bool) error {
	_, err := c.ask(ctx, request{Do: "clear", Host: h, KeepData: keepData})
	return err
}

// Probe is [Host.Probe] on the machine, and compares its clock with this one's.
func (c *Client) Probe(ctx context.Context, q Question) (Machine, error) {
	sent := time.Now()
	a, err := c.ask(ctx, request{Do: "probe", Probe: &q})
	if err != nil || a.Probe == nil {
		return Machine{}, err
	}
	a.Probe.compare(sent, time.Now())
	return *a.Probe, nil
}
