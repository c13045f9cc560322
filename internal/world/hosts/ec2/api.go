package ec2

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/bound"
)

const (
	version = "2016-11-15"
	// maxAnswer is more than a page of a thousand instances takes.
	maxAnswer = 32 << 20
	// timeout bounds one call; EC2 answers within a second or two.
	timeout = 20 * time.Second
)

// api makes calls of EC2's query API, each once, and tells how they ended.
type api struct {
	endpoint, region string
	credentials      aws.CredentialsProvider
	signer           *v4.Signer
	client           *http.Client
}

func newAPI(s cluster.EC2Hosts, credentials aws.CredentialsProvider) (api, error) {
	endpoint := strings.TrimSuffix(cmp.Or(s.Endpoint, "https://ec2."+s.Region+".amazonaws.com"), "/")
	if err := cluster.CheckEndpoint(endpoint); err != nil {
		return api{}, fmt.Errorf("endpoint of EC2: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = 64 << 10
	return api{endpoint: endpoint + "/", region: s.Region, credentials: credentials, signer: v4.NewSigner(),
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// call makes a call and reads its answer. Its error says what it means: see [explain].
func (a *api) call(ctx context.Context, action string, words url.Values, out any) error {
	if err := a.once(ctx, action, words, out); err != nil {
		return fmt.Errorf("%s: %w", action, explain(err, action, a.endpoint))
	}
	return nil
}

func (a *api) once(ctx context.Context, action string, words url.Values, out any) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %s", timeout))
	defer cancel()
	var sent atomic.Bool
	request, err := a.request(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	}), action, words)
	if err != nil {
		return err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return &lost{sent.Load(), reason(ctx, err)}
	}
	defer response.Body.Close()
	raw, err := bound.ReadAll(response.Body, maxAnswer)
	if err != nil {
		return &lost{true, reason(ctx, err)}
	}
	if response.StatusCode != http.StatusOK {
		return refused(response.StatusCode, raw)
	}
	if err := xml.Unmarshal(raw, out); err != nil {
		return &lost{true, errors.New("the answer is not XML of the API's form")}
	}
	return nil
}

// request is a signed call. Keys go into the signature alone.
func (a *api) request(ctx context.Context, action string, words url.Values) (*http.Request, error) {
	keys, err := a.credentials.Retrieve(ctx)
	if err != nil {
		return nil, &keyless{err}
	}
	form := url.Values{"Action": {action}, "Version": {version}}
	for key, values := range words {
		form[key] = values
	}
	body := form.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.endpoint, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	request.Header.Set("User-Agent", "pleiad")
	sum := sha256.Sum256([]byte(body))
	return request, a.signer.SignHTTP(ctx, keys, request, hex.EncodeToString(sum[:]), "ec2", a.region, time.Now())
}

// lost is the error of a call without an answer that can be read.
type lost struct {
	sent bool // EC2 may have got it
	err  error
}

func (l *lost) Error() string { return l.err.Error() }
func (l *lost) Unwrap() error { return l.err }

// keyless is the error of a call for which no credentials were found.
type keyless struct{ err error }

func (k *keyless) Error() string { return "no AWS credentials: " + brief(k.err.Error()) }
func (k *keyless) Unwrap() error { return k.err }

// refusal is the error of a call that EC2 did not carry out.
type refusal struct {
	Status  int
	Code    string `xml:"Errors>Error>Code"`
	Message string `xml:"Errors>Error>Message"`
	Request string `xml:"RequestID"`
}

// Error implements error. What EC2 says may be long: an encoded authorization
// message is for its own tool.
func (r *refusal) Error() string {
	message, _, _ := strings.Cut(r.Message, " Encoded authorization failure message")
	return fmt.Sprintf("%s: %s", r.Code, brief(message))
}

func refused(status int, raw []byte) error {
	r := &refusal{}
	if xml.Unmarshal(raw, r) != nil || r.Code == "" {
		if status >= 500 {
			return &lost{true, fmt.Errorf("it answered with HTTP status %d", status)}
		}
		r.Code, r.Message = "HTTP "+strconv.Itoa(status), "the answer is not of the API's form"
	}
	r.Status = status
	return r
}

func brief(text string) string {
	const longest = 300
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
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
