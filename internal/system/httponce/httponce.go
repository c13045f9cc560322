// Package httponce makes an HTTP call once. It is below the providers whose other
// side is an API: these decide what an answer means, and whether to ask again.
//
// A call ends by its deadline, an answer has a size limit, and nothing is sent where
// a redirection leads. A call without an answer says whether it may have been
// received ([Lost]), so that nothing is done twice (rule R12).
package httponce

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/system/bound"
)

// Client is a client that follows nowhere, since a token has no business elsewhere.
// Transport is nil for one of its own.
func Client(transport http.RoundTripper) *http.Client {
	if transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.MaxResponseHeaderBytes = 64 << 10
		transport = own
	}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Lost is the error of a call without an answer that can be read.
type Lost struct {
	Sent bool // the other side may have got it
	Err  error
}

// Error implements error.
func (l *Lost) Error() string { return l.Err.Error() }

// Unwrap gives the cause.
func (l *Lost) Unwrap() error { return l.Err }

// Answer is an answer of any status, whole.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do makes the call that request makes, within a time, for an answer of at most so
// many bytes. Its error is that of request, or a [*Lost].
func Do(ctx context.Context, client *http.Client, timeout time.Duration, most int64, request func(context.Context) (*http.Request, error)) (Answer, error) {
	if ctx.Err() != nil {
		return Answer{}, &Lost{Err: context.Cause(ctx)}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %s", timeout))
	defer cancel()
	var sent atomic.Bool
	r, err := request(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	}))
	if err != nil {
		return Answer{}, err
	}
	response, err := client.Do(r)
	if err != nil {
		return Answer{}, &Lost{sent.Load(), reason(ctx, err)}
	}
	defer response.Body.Close()
	body, err := bound.ReadAll(response.Body, most)
	if err != nil {
		return Answer{}, &Lost{true, reason(ctx, err)}
	}
	return Answer{response.StatusCode, response.Header, body}, nil
}

// reason is why a call ended: its context, if that is over, else err.
func reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var wrapped *url.Error // says the whole URL again
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
