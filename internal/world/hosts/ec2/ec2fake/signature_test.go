package ec2fake_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2/ec2fake"
)

// Each client is wrong in one way.
func TestSignatures(t *testing.T) {
	for name, c := range map[string]struct {
		wrong  func(*bench)
		status int
		code   string
	}{
		"unknown access key": {func(b *bench) { b.key.AccessKeyID = "AKIDNOBODY" }, 401, "AuthFailure"},
		"wrong secret key":   {func(b *bench) { b.key.SecretAccessKey = "guessed" }, 401, "AuthFailure"},
		"foreign session":    {func(b *bench) { b.key.SessionToken = "someone" }, 401, "AuthFailure"},
		"wrong region":       {func(b *bench) { b.region = "us-east-1" }, 403, "SignatureDoesNotMatch"},
		"clock behind":       {func(b *bench) { b.at = time.Now().Add(-16 * time.Minute) }, 400, "RequestExpired"},
		"clock ahead":        {func(b *bench) { b.at = time.Now().Add(16 * time.Minute) }, 400, "RequestExpired"},
		"no signature":       {func(b *bench) { b.edit = func(r *http.Request) { r.Header.Del("Authorization") } }, 403, "MissingAuthenticationToken"},
		"broken signature":   {func(b *bench) { b.edit = func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x") } }, 400, "IncompleteSignature"},
		"unsigned header":    {func(b *bench) { b.edit = func(r *http.Request) { r.Header.Set("X-Amz-Target", "x") } }, 403, "SignatureDoesNotMatch"},
		"another body":       {func(b *bench) { b.edit = changeBody }, 401, "AuthFailure"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			b.do("DescribeInstances")
			c.wrong(b)
			b.refused(c.status, c.code, "DescribeInstances", "MaxResults", "10")
			if n := b.Calls()["DescribeInstances"]; n != 1 {
				t.Errorf("%d calls were counted, want that of the right client", n)
			}
		})
	}
}

// changeBody keeps the length of the body.
func changeBody(r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(strings.Replace(string(raw), "MaxResults=10", "MaxResults=20", 1)))
}

func TestSessionToken(t *testing.T) {
	b := start(t)
	a := account()
	a.SessionToken = "temporary"
	b.url = serve(t, ec2fake.New(a))
	b.refused(401, "AuthFailure", "DescribeInstances")
	b.key.SessionToken = "temporary"
	b.do("DescribeInstances")
}

// A client that does not say what it means is told so.
func TestUnknownWords(t *testing.T) {
	b := start(t)
	b.refused(400, "InvalidAction", "DescribeInstance")
	b.refused(400, "UnknownParameter", "DescribeInstances", "InstanceIds.1", "i-00000000")
	b.refused(400, "UnknownParameter", "RunInstances", launching("SecurityGroupId.2", "sg-1")...) // a list begins at 1
	b.refused(400, "UnknownParameter", "RunInstances", launching("MetadataOptions.HttpToken", "required")...)
	b.refused(400, "InvalidParameterCombination", "DescribeInstances", "MaxResults", "5", "MaxResults", "5")
	b.refused(400, "InvalidParameterValue", "DescribeInstances", "Filter.1.Name", "tags:x", "Filter.1.Value.1", "y")
	b.refused(400, "InvalidParameterValue", "DescribeInstances", "DryRun", "True")
	b.refused(400, "NoSuchVersion", "DescribeInstances", "Version", "2014-10-01")
}
