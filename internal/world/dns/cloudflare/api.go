package cloudflare

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/httponce"
)

const (
	official = "https://api.cloudflare.com/client/v4"
	// maxAnswer is more than a page of [perPage] records takes.
	maxAnswer = 32 << 20
	// usualBlock is how long calls are refused after too many of them; what the
	// answer says comes first.
	usualBlock = 5 * time.Minute
	maxBlock   = time.Hour
)

// api makes calls and tells how they ended; what an end means is its caller's.
type api struct {
	base    string
	token   Token
	timeout time.Duration
	client  *http.Client
	blocked *block
}

// block is until when Cloudflare wants to be left alone. Whoever asks meanwhile is
// not only refused: that may count too.
type block struct {
	mu    sync.Mutex
	until time.Time
}

// left is how long it lasts.
func (b *block) left(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.until.Sub(now)
}

func (b *block) begin(until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = until
}

func newAPI(c Config) (api, error) {
	base := strings.TrimSuffix(cmp.Or(c.Endpoint, official), "/")
	if err := cluster.CheckEndpoint(base); err != nil {
		return api{}, fmt.Errorf("endpoint of the API: %w", err)
	}
	return api{base: base, token: c.Token, timeout: cmp.Or(c.Timeout, 10*time.Second), blocked: new(block), client: httponce.Client(c.Transport)}, nil
}

// answer is the envelope of every answer.
type answer struct {
	Success    bool            `json:"success"`
	Errors     []problem       `json:"errors"`
	Result     json.RawMessage `json:"result"`
	ResultInfo struct {
		TotalCount int `json:"total_count"`
	} `json:"result_info"`
}

// problem is what Cloudflare finds wrong. The chain says it better than its head.
type problem struct {
	Code    int       `json:"code"`
	Message string    `json:"message"`
	Chain   []problem `json:"error_chain"`
}

// refusal is the error of a call that Cloudflare did not carry out.
type refusal struct {
	status   int
	problems []problem // heads and chains, in order
	after    time.Duration
}

// Error implements error.
func (r *refusal) Error() string {
	var parts []string
	for _, p := range r.problems {
		parts = append(parts, fmt.Sprintf("%d %s", p.Code, p.Message))
	}
	if len(parts) == 0 {
		return fmt.Sprintf("HTTP status %d", r.status)
	}
	return strings.Join(parts, ", ")
}

// has says whether one of its problems has one of the codes.
func (r *refusal) has(codes ...int) bool {
	for _, p := range r.problems {
		for _, c := range codes {
			if p.Code == c {
				return true
			}
		}
	}
	return false
}

// call makes one call, once. Its error is a [*httponce.Lost] or a [*refusal].
func (a *api) call(ctx context.Context, method, path string, query url.Values, body any) (answer, error) {
	if left := a.blocked.left(time.Now()); left > 0 && ctx.Err() == nil {
		return answer{}, &refusal{status: http.StatusTooManyRequests, after: left}
	}
	got, err := httponce.Do(ctx, a.client, a.timeout, maxAnswer, func(ctx context.Context) (*http.Request, error) {
		return a.request(ctx, method, path, query, body)
	})
	var lost *httponce.Lost
	switch {
	case errors.As(err, &lost):
		return answer{}, &httponce.Lost{Sent: lost.Sent, Err: a.clean(lost.Err)}
	case err != nil:
		return answer{}, &httponce.Lost{Err: a.clean(err)}
	}
	return a.understand(got)
}

func (a *api) request(ctx context.Context, method, path string, query url.Values, body any) (*http.Request, error) {
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	target := a.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+*a.token.secret)
	request.Header.Set("Accept", "application/json")
	if body != nil { // without one it would be an error to Cloudflare
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("User-Agent", "pleiad")
	return request, nil
}

// understand reads an answer. Some that say no come from a proxy on the way, and
// are not in Cloudflare's form.
func (a *api) understand(got httponce.Answer) (answer, error) {
	var out answer
	broken := json.Unmarshal(got.Body, &out)
	status := got.Status
	switch {
	case status == http.StatusOK && broken != nil:
		return answer{}, &httponce.Lost{Sent: true, Err: errors.New("the answer is not JSON of the API's form")}
	case status == http.StatusOK && out.Success:
		return out, nil
	case status >= 500 || status == http.StatusRequestTimeout:
		return answer{}, &httponce.Lost{Sent: true, Err: fmt.Errorf("it answered with HTTP status %d", status)}
	}
	r := &refusal{status: status}
	if broken == nil {
		r.problems = a.flat(out.Errors)
	}
	if status == http.StatusTooManyRequests {
		now := time.Now()
		r.after = pause(got.Header.Get("Retry-After"), now)
		a.blocked.begin(now.Add(r.after))
	}
	return answer{}, r
}

// flat are problems with their chains behind them, few and short: they are the
// words of others.
func (a *api) flat(problems []problem) (out []problem) {
	const few, short = 6, 300
	for _, p := range problems {
		if len(out) == few {
			break
		}
		out = append(out, problem{Code: p.Code, Message: cut(a.redact(p.Message), short)})
		for _, c := range p.Chain[:min(len(p.Chain), few-len(out))] {
			out = append(out, problem{Code: c.Code, Message: cut(a.redact(c.Message), short)})
		}
	}
	return out
}

// redact takes the token out of a text, whoever put it there.
func (a *api) redact(text string) string {
	return strings.ReplaceAll(text, *a.token.secret, a.token.String())
}

// clean is an error of the transport without the token, which a proxy may have
// sent back to us.
func (a *api) clean(err error) error {
	if strings.Contains(err.Error(), *a.token.secret) {
		return errors.New(a.redact(err.Error()))
	}
	return err
}

// pause is how long Cloudflare wants to be left alone: a number of seconds or a
// date (RFC 9110, section 10.2.3).
func pause(header string, now time.Time) time.Duration {
	wanted := usualBlock
	if seconds, err := strconv.Atoi(strings.TrimSpace(header)); err == nil {
		wanted = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(header); err == nil {
		wanted = date.Sub(now)
	}
	return min(max(wanted, time.Second), maxBlock)
}

// host is whom calls go to.
func (a *api) host() string {
	u, err := url.Parse(a.base)
	if err != nil {
		return a.base
	}
	return u.Host
}
