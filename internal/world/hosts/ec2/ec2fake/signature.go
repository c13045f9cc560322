package ec2fake

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

// credential is what an Authorization header of signature version 4 says.
type credential struct {
	key       string   // access key
	scope     []string // date, region, service, terminator
	headers   []string // the signed ones, in lower case
	signature string
}

// verify says why a request is not one of the account.
func (a Account) verify(r *http.Request, body []byte) *refusal {
	header := r.Header.Get("Authorization")
	if header == "" {
		return refuse("MissingAuthenticationToken", "Request is missing Authentication Token")
	}
	c, ok := parseCredential(header)
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", date)
	if !ok || err != nil {
		return refuse("IncompleteSignature", "The request signature does not conform to AWS standards")
	}
	if late := time.Since(at); late > 15*time.Minute || late < -15*time.Minute {
		return refuse("RequestExpired", "Request has expired. Timestamp date is %s", date)
	}
	if c.key != a.AccessKey || r.Header.Get("X-Amz-Security-Token") != a.SessionToken {
		return refuse("AuthFailure", "AWS was not able to validate the provided access credentials")
	}
	if !slices.Equal(c.scope, []string{date[:8], a.Region, "ec2", "aws4_request"}) {
		return refuse("SignatureDoesNotMatch", "Credential should be scoped to a valid date, region and service, not %s", strings.Join(c.scope, "/"))
	}
	if name := c.unsigned(r.Header); name != "" {
		return refuse("SignatureDoesNotMatch", "The header %s is not signed", name)
	}
	if want, ok := a.sign(r, body, c, at); !ok || !hmac.Equal([]byte(want.signature), []byte(c.signature)) {
		return refuse("AuthFailure", "AWS was not able to validate the provided access credentials")
	}
	return nil
}

func parseCredential(header string) (credential, bool) {
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
func (a Account) sign(r *http.Request, body []byte, c credential, at time.Time) (credential, bool) {
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
	key := aws.Credentials{AccessKeyID: a.AccessKey, SecretAccessKey: a.SecretKey}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableSessionToken = true }) // it is a header like any other here
	if err := signer.SignHTTP(context.Background(), key, copied, hex.EncodeToString(sum[:]), "ec2", a.Region, at); err != nil {
		return credential{}, false
	}
	return parseCredential(copied.Header.Get("Authorization"))
}
