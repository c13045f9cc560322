package ec2fake

import (
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/pleiad-etcd/pleiad/internal/world/amazon/amazontest"
)

// verify says why a request is not one of the account.
func (a Account) verify(r *http.Request, body []byte) *refusal {
	signer := amazontest.Signer{Region: a.Region, Service: "ec2",
		Key: aws.Credentials{AccessKeyID: a.AccessKey, SecretAccessKey: a.SecretKey, SessionToken: a.SessionToken}}
	switch fault, what := signer.Check(r, body); fault {
	case amazontest.Missing:
		return refuse("MissingAuthenticationToken", "Request is missing Authentication Token")
	case amazontest.Incomplete:
		return refuse("IncompleteSignature", "The request signature does not conform to AWS standards")
	case amazontest.Late:
		return refuse("RequestExpired", "Request has expired. Timestamp date is %s", what)
	case amazontest.Elsewhere:
		return refuse("SignatureDoesNotMatch", "Credential should be scoped to a valid date, region and service, not %s", what)
	case amazontest.Unsigned:
		return refuse("SignatureDoesNotMatch", "The header %s is not signed", what)
	case amazontest.Unknown, amazontest.Wrong:
		return refuse("AuthFailure", "AWS was not able to validate the provided access credentials")
	}
	return nil
}
