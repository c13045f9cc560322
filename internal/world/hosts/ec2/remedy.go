package ec2

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/httponce"
)

// pause is how long EC2 is left alone after it has throttled a call: its buckets
// are refilled each second.
const pause = 3 * time.Second

// again is the remedy against all that the next look settles (R12).
const again = "run the command again: it first looks at what was done"

// explain says what the end of a call means.
func explain(err error, action, endpoint string) error {
	var r *refusal
	var l *httponce.Lost
	var k *keyless
	switch {
	case errors.As(err, &r):
		return r.explain(action)
	case errors.As(err, &k):
		return fault.WithRemedy(fmt.Errorf("%w: %w", fault.Denied, err),
			"give AWS credentials as for its own tools: in the environment, in ~/.aws/credentials, or by the role of this machine")
	case errors.As(err, &l) && (!l.Sent || strings.HasPrefix(action, "Describe")):
		return fault.WithRemedy(fmt.Errorf("%w: %w", fault.Unreachable, err), "allow HTTPS from here to "+endpoint)
	case errors.As(err, &l):
		return fault.WithRemedy(fmt.Errorf("%w: %w", fault.UnknownOutcome, err), again)
	}
	return err
}

// explain says what a refusal means: nothing was done, and why.
func (r *refusal) explain(action string) error {
	is := func(codes ...string) bool { return slices.Contains(codes, r.Code) }
	switch {
	case is("RequestLimitExceeded", "Throttling", "RequestThrottled", "ThrottlingException", "EC2ThrottledException"):
		return &fault.Limited{After: pause, Err: fmt.Errorf("%w: %w", fault.Unreachable, r)}
	case is("UnauthorizedOperation"):
		return fault.WithRemedy(fmt.Errorf("%w: %w", fault.Denied, r), "give the user or role of these credentials the right ec2:"+action)
	case is("AuthFailure", "InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken", "MissingAuthenticationToken", "OptInRequired", "Blocked", "PendingVerification"):
		return fault.WithRemedy(fmt.Errorf("%w: %w", fault.Denied, r), "see whose the credentials are, with: aws sts get-caller-identity")
	case is("RequestExpired"):
		return fault.WithRemedy(fmt.Errorf("%w: %w", fault.Denied, r), "set the clock of this machine")
	case is("InsufficientInstanceCapacity"):
		return fault.WithRemedy(r, "wait, or name more types in hosts.ec2.instanceType of the spec")
	case is("VcpuLimitExceeded", "InstanceLimitExceeded", "VolumeLimitExceeded", "MaxIOPSLimitExceeded"):
		return fault.WithRemedy(fmt.Errorf("%w: %w", fault.Denied, r), "have the quota raised, at https://console.aws.amazon.com/servicequotas, or take a smaller instance type")
	case is("InsufficientFreeAddressesInSubnet"):
		return fault.WithRemedy(fmt.Errorf("%w: %w", fault.Occupied, r), "free addresses in the subnet, or name others in hosts.ec2.subnets of the spec")
	case is("OperationNotPermitted"):
		return fault.WithRemedy(fmt.Errorf("%w: %w", fault.Denied, r), "if it is to go: take the protection against termination off the instance")
	case is("IdempotentParameterMismatch", "IncorrectInstanceState", "IncorrectState", "VolumeInUse") || strings.HasSuffix(r.Code, ".NotFound") && action != "RunInstances" && action != "DescribeImages":
		return fault.WithRemedy(fmt.Errorf("%w: %w", fault.Conflict, r), again)
	case r.Status >= 500:
		return fault.WithRemedy(fmt.Errorf("%w: %w", fault.UnknownOutcome, r), again)
	}
	return fault.WithRemedy(fmt.Errorf("%w: %w", fault.Unsupported, r), "correct hosts.ec2 in the spec")
}
