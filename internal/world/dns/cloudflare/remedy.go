package cloudflare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/httponce"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// Codes of the API, as it was seen to answer.
const (
	codeThrottled    = 971   // please wait
	codeLimited      = 10429 // too many requests
	codeInvalidToken = 1000  // invalid API token
	codeHeaders      = 6003  // invalid request headers, the token's form among them
	codeTokenForm    = 6111  // invalid format for Authorization header
	codeAccessToken  = 9109  // invalid access token; unauthorized for a resource
	codeAuth         = 10000 // authentication error; the token may not do this
	codeGone         = 81044 // record does not exist
	codeQuota        = 81045 // record quota exceeded
	codeHostTaken    = 81053 // an A, AAAA or CNAME record with that host already exists
	codeAliasTaken   = 81054 // a CNAME record with that host already exists
	codeExists       = 81057 // record already exists
	codeIdentical    = 81058 // an identical record already exists
)

// freeBatch is what the smallest plan takes in one batch.
const freeBatch = 200

// again is the remedy against all that the next observation settles (R12).
const again = "run the command again: it first looks at what was done"

// anyZone stands for the zone before it was found.
var anyZone = Zone{}

// unread is the error of a question without an answer.
func (p *Provider) unread(err error, z Zone) error {
	var r *refusal
	if errors.As(err, &r) {
		return p.refused(r, z, 0)
	}
	return fault.WithRemedy(fmt.Errorf("%w: %w", dns.ErrUnreachable, err),
		"allow HTTPS from here to "+p.api.host()+"; see whether it answers, with: curl -sS -o /dev/null "+p.api.base+"/ips")
}

// unwritten is the error of a batch. One that was sent and not refused may have
// been carried out.
func (p *Provider) unwritten(err error, z Zone, b batch) error {
	var r *refusal
	var l *httponce.Lost
	switch {
	case errors.As(err, &r):
		return p.refused(r, z, b.size())
	case errors.As(err, &l) && !l.Sent:
		return p.unread(err, z)
	}
	return p.unknown(err)
}

// unknown is the error of a change that was sent and may have been made.
func (p *Provider) unknown(err error) error {
	return fault.WithRemedy(fmt.Errorf("%w: %w", dns.ErrUnknownOutcome, plainly{err}), again)
}

// plainly is an error that keeps its text and a pause that it asks for, and
// nothing of its kind: after a change that was made, why a look at it failed
// must not be taken for the change's own end.
type plainly struct{ err error }

func (p plainly) Error() string { return p.err.Error() }

// As finds a wanted pause.
func (p plainly) As(target any) bool {
	if l, ok := target.(**fault.Limited); ok {
		return errors.As(p.err, l)
	}
	return false
}

// Is finds the end of a context.
func (p plainly) Is(target error) bool {
	return (target == context.Canceled || target == context.DeadlineExceeded) && errors.Is(p.err, target)
}

// refused says what a refusal means: nothing was done, and why.
func (p *Provider) refused(r *refusal, z Zone, operations int) error {
	switch {
	case r.status == http.StatusTooManyRequests || r.has(codeThrottled, codeLimited):
		return &fault.Limited{After: cmp.Or(r.after, usualBlock), Err: fmt.Errorf("%w: too many calls of this token's owner: %w", dns.ErrUnreachable, r)}
	case r.has(codeGone, codeExists, codeIdentical, codeHostTaken, codeAliasTaken) || r.status == http.StatusConflict:
		return fault.WithRemedy(fmt.Errorf("%w: %w", dns.ErrConflict, r), again)
	}
	p.forget()
	why, remedies := p.explain(r, z, operations)
	return fault.WithRemedy(fmt.Errorf("%w: %w%s", dns.ErrDenied, r, why), remedies...)
}

// explain tells apart what only a person can mend.
func (p *Provider) explain(r *refusal, z Zone, operations int) (why string, remedies []string) {
	identity := r.has(codeInvalidToken, codeHeaders, codeTokenForm, codeAccessToken, codeAuth) ||
		r.status == http.StatusUnauthorized || r.status == http.StatusForbidden
	switch {
	case identity && z.ID == "":
		return ": it does not know the token, or the token has ended", []string{p.newToken(), p.sourceOfToken()}
	case identity:
		return fmt.Sprintf(": the token may not do this in zone %s, or it has ended", z.Name), []string{p.rightToEdit(z), p.sourceOfToken()}
	case r.has(codeQuota) || r.mentions("quota"):
		return fmt.Sprintf(": zone %s holds as many records as its plan allows", z.Name), []string{p.moreRoom()}
	case operations > freeBatch:
		return fmt.Sprintf(": the change makes %d operations of one batch, and a Free zone takes %d", operations, freeBatch), []string{p.smallerBatch()}
	}
	return "", nil
}

// mentions says whether a problem speaks of something.
func (r *refusal) mentions(word string) bool {
	for _, p := range r.problems {
		if strings.Contains(strings.ToLower(p.Message), word) {
			return true
		}
	}
	return false
}

// noZone is the error of a token that sees no zone for the domain: Cloudflare
// does not tell a zone that does not exist from one that is hidden.
func (p *Provider) noZone() error {
	names := strings.Join(p.candidates(), " or ")
	return fault.WithRemedy(fmt.Errorf("%w: the token sees no zone %s: there is none, or the token is not for it", dns.ErrDenied, names),
		"see whether the zone is in the account, at https://dash.cloudflare.com",
		p.newToken(),
		"if the zone has another name, put that into dns.cloudflare.zone")
}

// inactive is the error of a zone that nobody asks.
func (p *Provider) inactive(z Zone) error {
	remedy := "see what Cloudflare waits for, at https://dash.cloudflare.com"
	if len(z.NameServers) > 0 {
		remedy = fmt.Sprintf("at the registrar, or in the zone above, make these the name servers of %s, and wait until the zone is active: %s", z.Name, strings.Join(z.NameServers, ", "))
	}
	return p.elsewhere(z, fmt.Sprintf("it is %s, not active: resolvers do not ask Cloudflare for it", cut(z.Status, 40)), remedy)
}

// elsewhere is the error of a zone whose records are not to be had here.
func (p *Provider) elsewhere(z Zone, why string, remedies ...string) error {
	return fault.WithRemedy(fmt.Errorf("%w: zone %s: %s", fault.Unsupported, z.Name, why), remedies...)
}

func (p *Provider) newToken() string {
	zone := p.name
	if zone == "" {
		zone = "of " + p.domain
	}
	return fmt.Sprintf("make a token with \"Zone, DNS, Edit\" and \"Zone, Zone, Read\" for the zone %s, at https://dash.cloudflare.com/profile/api-tokens", zone)
}

func (p *Provider) sourceOfToken() string {
	return "put the token, and nothing else, into " + cmp.Or(p.source, Variable)
}

func (p *Provider) rightToEdit(z Zone) string {
	return fmt.Sprintf("give the token the permission \"Zone, DNS, Edit\" for zone %s, at https://dash.cloudflare.com/profile/api-tokens", z.Name)
}

func (p *Provider) moreRoom() string {
	return "remove records that nobody needs, or take another plan: a Free zone holds 200 records; a cluster takes 3 for each member, and one more"
}

func (p *Provider) smallerBatch() string {
	return "take another plan for the zone, or fewer members"
}
