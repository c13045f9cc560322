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
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/httponce"
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
	return api{endpoint: endpoint + "/", region: s.Region, credentials: credentials, signer: v4.NewSigner(), client: httponce.Client(nil)}, nil
}

// call makes a call and reads its answer. Its error says what it means: see [explain].
func (a *api) call(ctx context.Context, action string, words url.Values, out any) error {
	if err := a.once(ctx, action, words, out); err != nil {
		return fmt.Errorf("%s: %w", action, explain(err, action, a.endpoint))
	}
	return nil
}

func (a *api) once(ctx context.Context, action string, words url.Values, out any) error {
	answer, err := httponce.Do(ctx, a.client, timeout, maxAnswer, func(ctx context.Context) (*http.Request, error) {
		return a.request(ctx, action, words)
	})
	switch {
	case err != nil:
		return err
	case answer.Status != http.StatusOK:
		return refused(answer.Status, answer.Body)
	case xml.Unmarshal(answer.Body, out) != nil:
		return &httponce.Lost{Sent: true, Err: errors.New("the answer is not XML of the API's form")}
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
			return &httponce.Lost{Sent: true, Err: fmt.Errorf("it answered with HTTP status %d", status)}
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
