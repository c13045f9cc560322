// Package amazontest checks the signatures of calls to fakes of Amazon's services, as
// these do: version 4, every header that says something signed, the clock right, the
// body the one that was signed. Each fake says it in the words of its service.
package amazontest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Fault is what is wrong with a signature.
type Fault int

// The faults, in the order in which they are looked for.
const (
	None       Fault = iota
	Missing          // there is none
	Incomplete       // it is not of the form
	Late             // the clock differs by more than a quarter of an hour
	Unknown          // the access key or session is not the account's
	Elsewhere        // it is for another date, region or service
	Unsigned         // a header that says something is not signed
	Wrong            // it is not what the account's key makes of the request
)

// Signer is whose signature a request should have, and for what.
type Signer struct {
	Key             aws.Credentials
	Region, Service string
}

// Check says what is wrong with the signature of a request, and of what.
func (s Signer) Check(r *http.Request, body []byte) (Fault, string) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return Missing, ""
	}
	c, ok := parse(header)
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", date)
	if !ok || err != nil {
		return Incomplete, ""
	}
	if late := time.Since(at); late > 15*time.Minute || late < -15*time.Minute {
		return Late, date
	}
	if c.key != s.Key.AccessKeyID || r.Header.Get("X-Amz-Security-Token") != s.Key.SessionToken {
		return Unknown, c.key
	}
	if !slices.Equal(c.scope, []string{date[:8], s.Region, s.Service, "aws4_request"}) {
		return Elsewhere, strings.Join(c.scope, "/")
	}
	if name := c.unsigned(r.Header); name != "" {
		return Unsigned, name
	}
	if want, ok := s.sign(r, body, c, at); !ok || !hmac.Equal([]byte(want.signature), []byte(c.signature)) {
		return Wrong, ""
	}
	return None, ""
}

// AccessKey is the access key that a request names; empty if it names none.
func AccessKey(r *http.Request) string {
	c, _ := parse(r.Header.Get("Authorization"))
	return c.key
}

// credential is what an Authorization header of signature version 4 says.
type credential struct {
	key       string   // access key
	scope     []string // date, region, service, terminator
	headers   []string // the signed ones, in lower case
	signature string
}

func parse(header string) (credential, bool) {
	rest, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	parts := strings.Split(rest, ",")
	if !ok || len(parts) != 3 {
		return credential{}, false
	}
	var values [3]string
	for i, name := range []string{"Credential=", "SignedHeaders=", "Signature="} {
		if values[i], ok = strings.CutPrefix(strings.TrimSpace(parts[i]), name); !ok {
			return credential{}, false
		}
	}
	key, scope, ok := strings.Cut(values[0], "/")
	return credential{key: key, scope: strings.Split(scope, "/"), headers: strings.Split(values[1], ";"), signature: values[2]}, ok
}

// unsigned is a header that should be signed and is not.
func (c credential) unsigned(all http.Header) string {
	want := []string{"host"}
	for name := range all {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") || name == "content-type" {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	for _, name := range want {
		if !slices.Contains(c.headers, name) {
			return name
		}
	}
	return ""
}

// sign signs a request as somebody with the account's key would who signs the
// same headers.
func (s Signer) sign(r *http.Request, body []byte, c credential, at time.Time) (credential, bool) {
	copied := &http.Request{Method: r.Method, URL: r.URL, Host: r.Host, Header: http.Header{}}
	for _, name := range c.headers {
		switch name {
		case "host":
		case "content-length":
			copied.ContentLength = int64(len(body))
		default:
			copied.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	sum := sha256.Sum256(body)
	key := aws.Credentials{AccessKeyID: s.Key.AccessKeyID, SecretAccessKey: s.Key.SecretAccessKey}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableSessionToken = true }) // it is a header like any other here
	if err := signer.SignHTTP(context.Background(), key, copied, hex.EncodeToString(sum[:]), s.Service, s.Region, at); err != nil {
		return credential{}, false
	}
	return parse(copied.Header.Get("Authorization"))
}
