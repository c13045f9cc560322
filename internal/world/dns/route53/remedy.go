package route53

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/httponce"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// again is the remedy against all that the next observation settles (R12).
const again = "run the command again: it first looks at what was done"

// nameZone is the remedy where the wrong zone is named, or none.
const nameZone = "write the zone's ID into dns.route53.zoneID of the spec; see the zones of the account, with: aws route53 list-hosted-zones"

// breath is how long Route 53 is left alone after it has refused a call as one too
// many: it counts by the second, and works on one change of a zone at a time.
const breath = 3 * time.Second

// throttled says that a code means: not now.
func throttled(code string) bool {
	return slices.Contains([]string{"Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "TooManyRequestsException", "PriorRequestNotComplete"}, code)
}

// unread is the error of a question without an answer.
func (p *Provider) unread(err error, z Zone) error {
	var r *refusal
	var k *keyless
	var l *httponce.Lost
	switch {
	case errors.As(err, &r):
		return p.refused(r, z)
	case errors.As(err, &k):
		return fault.WithRemedy(fmt.Errorf("%w: %w", dns.ErrDenied, k),
			"give AWS credentials as for its own tools: in the environment, in ~/.aws, or by the role of this machine",
			"if they are those of a profile, name it in dns.route53.profile of the spec")
	case errors.As(err, &l):
		return fault.WithRemedy(fmt.Errorf("%w: %w", dns.ErrUnreachable, err),
			"allow HTTPS from here to "+p.api.host()+"; see whether it answers, with: curl -sS -o /dev/null "+p.api.host())
	}
	return err
}

// unwritten is the error of a batch. One that was sent and not refused may have
// been carried out.
func (p *Provider) unwritten(err error, z Zone) error {
	var l *httponce.Lost
	if errors.As(err, &l) && l.Sent {
		return p.unknown(l.Err)
	}
	return p.unread(err, z)
}

// unknown is the error of a change that was sent and may have been made.
func (p *Provider) unknown(err error) error {
	return fault.WithRemedy(fmt.Errorf("%w: %w", dns.ErrUnknownOutcome, err), again)
}

// refused says what a refusal means: nothing was done, and why.
func (p *Provider) refused(r *refusal, z Zone) error {
	is := func(codes ...string) bool { return slices.Contains(codes, r.code) }
	switch {
	case is("PriorRequestNotComplete"):
		return &fault.Limited{After: breath, Err: fmt.Errorf("%w: it still works on another change of the zone: %w", dns.ErrUnreachable, r)}
	case throttled(r.code):
		return &fault.Limited{After: breath, Err: fmt.Errorf("%w: too many calls of this account: %w", dns.ErrUnreachable, r)}
	case is("InvalidChangeBatch") && r.overtaken():
		return fault.WithRemedy(fmt.Errorf("%w: %w", dns.ErrConflict, r), again)
	}
	p.forget()
	switch {
	case is("AccessDenied", "AccessDeniedException", "NotAuthorizedException"):
		return fault.WithRemedy(fmt.Errorf("%w: %w", dns.ErrDenied, r), p.missingRight(r.action, z), whoseKeys)
	case is("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch", "IncompleteSignature",
		"MissingAuthenticationToken", "ExpiredToken", "ExpiredTokenException", "OptInRequired"):
		return fault.WithRemedy(fmt.Errorf("%w: %w", dns.ErrDenied, r), whoseKeys, "set the clock of this machine")
	case is("RequestExpired"):
		return fault.WithRemedy(fmt.Errorf("%w: %w", dns.ErrDenied, r), "set the clock of this machine")
	case is("NoSuchHostedZone"):
		return fault.WithRemedy(fmt.Errorf("%w: %w", dns.ErrDenied, r), nameZone, whoseKeys)
	case is("NoSuchChange"):
		return fault.WithRemedy(fmt.Errorf("%w: %w", fault.Unsupported, r), again)
	case r.says("limit") || r.says("exceeded"):
		return fault.WithRemedy(fmt.Errorf("%w: %w", fault.Unsupported, r), "remove record sets that nobody needs, or have the quota raised, at https://console.aws.amazon.com/servicequotas")
	case r.status == 401 || r.status == 403:
		return fault.WithRemedy(fmt.Errorf("%w: %w", dns.ErrDenied, r), whoseKeys)
	}
	return fmt.Errorf("%w: %w", fault.Unsupported, r)
}

// overtaken says that a batch failed because the records are not what they were: the
// texts are Route 53's own.
func (r *refusal) overtaken() bool {
	for _, text := range []string{
		"but it already exists",
		"but it was not found",
		"but the values provided do not match the current values",
		"conflicting RRSet",
		"conflicts with other records",
	} {
		if r.says(text) {
			return true
		}
	}
	return false
}

// whoseKeys is the remedy where credentials are refused, or are not enough.
const whoseKeys = "see whose the credentials are, with: aws sts get-caller-identity"

// missingRight is the right that is missing, for which zone.
func (p *Provider) missingRight(action string, z Zone) string {
	return "give the user or role of these credentials the right route53:" + action + on(action, z.ID)
}

func on(action, id string) string {
	switch action {
	case "GetChange", "ListHostedZonesByName":
		return ""
	}
	return " on arn:aws:route53:::hostedzone/" + cmp.Or(id, "*")
}

// noZone is the error of an account without a zone for the domain.
func (p *Provider) noZone() error {
	names := strings.Join(p.candidates(), " or ")
	return fault.WithRemedy(fmt.Errorf("%w: the account has no zone %s", dns.ErrDenied, names),
		"see which zones the account has, with: aws route53 list-hosted-zones",
		"if they are another account's, give its credentials; whose these are says: aws sts get-caller-identity",
		"if the zone has another name, put that into dns.route53.zone")
}

// ambiguous is the error of several zones of one name: a public and a private one, as
// a rule.
func ambiguous(name string, zones []Zone) error {
	var shown []string
	for _, z := range zones {
		kind := "public"
		if z.Private {
			kind = "private"
		}
		shown = append(shown, z.ID+" ("+kind+")")
	}
	slices.Sort(shown)
	return fault.WithRemedy(fmt.Errorf("%w: there are %d zones %s: %s", fault.Unsupported, len(zones), name, strings.Join(shown, ", ")),
		"name the one to write in dns.route53.zoneID of the spec")
}

// Unseen says why nobody outside its VPCs can ask the servers of a private zone; nil for
// a public one.
func (z Zone) Unseen() error {
	if !z.Private {
		return nil
	}
	where := "its VPCs"
	if len(z.VPCs) > 0 {
		where = strings.Join(z.VPCs, ", ")
	}
	return fault.WithRemedy(fmt.Errorf("%w: zone %s is private: its records are seen in %s alone, by the resolver of each VPC; whether a host sees them only the host can tell, and its member waits until it does",
		fault.Unsupported, z.Name, where), "let all hosts and clients be in VPCs that the zone is associated with; then there is nothing to do")
}
