package route53

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/aws/smithy-go"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/httponce"
)

const (
	// UsualRegion stands for all regions of the public cloud: there, Route 53 is one
	// service for all of them.
	UsualRegion = "us-east-1"
	// maxAnswer is more than a page of 300 record sets takes.
	maxAnswer = 32 << 20
	// keyPatience is how long it may take to find credentials: those of the machine's
	// role come over the network.
	keyPatience = 20 * time.Second
)

// api makes calls through Amazon's client, each once, and tells how they ended.
type api struct {
	client   *sdk.Client
	keys     aws.CredentialsProvider
	http     *http.Client
	endpoint string // empty for Amazon's own
	timeout  time.Duration
	pace     *pace
}

func newAPI(c Config) (*api, error) {
	a := &api{keys: c.Credentials, http: httponce.Client(c.Transport), endpoint: strings.TrimSuffix(c.Endpoint, "/"),
		timeout: cmp.Or(c.Timeout, 15*time.Second), pace: newPace(cmp.Or(c.PerSecond, perSecond))}
	options := sdk.Options{Region: cmp.Or(c.Region, UsualRegion), Credentials: c.Credentials, Retryer: aws.NopRetryer{}}
	if a.endpoint != "" {
		if err := cluster.CheckEndpoint(a.endpoint); err != nil {
			return nil, fmt.Errorf("endpoint of the API: %w", err)
		}
		options.BaseEndpoint = &a.endpoint
	}
	a.client = sdk.New(options)
	return a, nil
}

// host is whom calls go to.
func (a *api) host() string { return cmp.Or(a.endpoint, "https://route53.amazonaws.com") }

// keyless is the error of a call for which no credentials were found.
type keyless struct{ err error }

func (k *keyless) Error() string { return "no AWS credentials: " + brief(k.err.Error()) }
func (k *keyless) Unwrap() error { return k.err }

// refusal is the error of a call that Route 53 did not carry out.
type refusal struct {
	action  string
	status  int
	code    string
	message string
}

// Error implements error.
func (r *refusal) Error() string { return r.code + ": " + r.message }

// says tells whether a refusal speaks of something.
func (r *refusal) says(text string) bool { return strings.Contains(r.message, text) }

// call makes one call of an action of Amazon's client, once. Its error is a
// [*httponce.Lost], a [*refusal] or a [*keyless].
func call[I, O any](ctx context.Context, a *api, action string, act func(*sdk.Client, context.Context, *I, ...func(*sdk.Options)) (*O, error), in *I) (*O, error) {
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	once := &attempt{api: a, root: action + "Response"}
	out, err := act(a.client, ctx, in, func(o *sdk.Options) { o.HTTPClient = once })
	switch {
	case err == nil:
		return out, nil
	case once.lost != nil:
		return nil, once.lost
	case !once.answered:
		return nil, &httponce.Lost{Err: err}
	}
	return nil, refused(action, once.status, err)
}

// ready waits for the call's turn and for credentials.
func (a *api) ready(ctx context.Context) error {
	if err := rest(ctx, a.pace.turn(time.Now())); err != nil {
		return &httponce.Lost{Err: err}
	}
	looking, cancel := context.WithTimeoutCause(ctx, keyPatience, fmt.Errorf("not found within %s", keyPatience))
	defer cancel()
	_, err := a.keys.Retrieve(looking)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &httponce.Lost{Err: context.Cause(ctx)}
	}
	return &keyless{err}
}

// attempt is the transport of one call. Amazon's client hides how far a call came.
type attempt struct {
	api      *api
	root     string // of an answer that is a success
	answered bool
	status   int
	lost     error
}

// Do implements the client's transport.
func (t *attempt) Do(r *http.Request) (*http.Response, error) {
	answer, err := httponce.Do(r.Context(), t.api.http, t.api.timeout, maxAnswer, func(ctx context.Context) (*http.Request, error) {
		return r.WithContext(ctx), nil
	})
	if err == nil && answer.Status < 300 && rootOf(answer.Body) != t.root {
		// Amazon's client takes it for an answer in which nothing stands.
		err = &httponce.Lost{Sent: true, Err: errors.New("the answer is not XML of the API's form")}
	}
	if err != nil {
		t.lost = err
		return nil, err
	}
	t.answered, t.status = true, answer.Status
	return &http.Response{StatusCode: answer.Status, Status: http.StatusText(answer.Status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: answer.Header, Body: io.NopCloser(bytes.NewReader(answer.Body)), ContentLength: int64(len(answer.Body)), Request: r}, nil
}

// rootOf is the name of the element that an XML document is; empty if it is none.
func rootOf(document []byte) string {
	for d := xml.NewDecoder(bytes.NewReader(document)); ; {
		token, err := d.Token()
		if err != nil {
			return ""
		}
		if start, ok := token.(xml.StartElement); ok {
			return start.Name.Local
		}
	}
}

// refused is the error of a call with an answer that is no success. One that is not
// of the API's form comes from a proxy on the way, or hides a success.
func refused(action string, status int, err error) error {
	var known smithy.APIError
	is := errors.As(err, &known) && known.ErrorCode() != "UnknownError"
	switch {
	case status < 300:
		return &httponce.Lost{Sent: true, Err: errors.New("the answer is not XML of the API's form")}
	case is && throttled(known.ErrorCode()): // whatever its status, nothing was done
	case status >= 500 || status == http.StatusRequestTimeout:
		return &httponce.Lost{Sent: true, Err: fmt.Errorf("it answered with HTTP status %d", status)}
	case !is:
		return &refusal{action: action, status: status, code: fmt.Sprintf("HTTP %d", status), message: "the answer is not of the API's form"}
	}
	r := &refusal{action: action, status: status, code: brief(known.ErrorCode()), message: brief(known.ErrorMessage())}
	var batch *types.InvalidChangeBatch
	if errors.As(err, &batch) && len(batch.Messages) > 0 {
		r.message = brief(strings.Join(batch.Messages, ", "))
	}
	return r
}

// brief are the words of others, short and on one line.
func brief(text string) string {
	const longest = 400
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	if len(text) > longest {
		return text[:longest] + "..."
	}
	return text
}
