// Package route53 is the DNS provider for hosted zones in Amazon Route 53. It stands
// between the contract of package dns and Amazon's client, and keeps nothing that the
// zone does not hold.
//
// Make a [Provider] with [New] and wrap it in dns.Guard. What it promises:
//   - A change set is one request, which Route 53 carries out whole or not at all. It
//     is never divided and never sent a second time: an answer that is lost is an
//     unknown outcome (rule R12).
//   - The conditions are Route 53's to check, in the same act: a record set is deleted
//     with the TTL and all the values that it was seen with, and made where there is
//     none. So of two writers who saw the same marker one fails (rule R11), and of two
//     first claims, too.
//   - A change is settled when Route 53 says that all its servers have it.
//   - Aliases, and record sets with a routing policy or a health check, are somebody
//     else's: where one has a name of ours, nothing is read there and nothing written.
//   - No more calls are begun than Route 53 takes from an account.
//
// What it cannot promise: that a record set which a change set only expects to be
// absent is absent is compared with a list made shortly before ([listing.Fresh]). And no
// server of a private zone can be asked from outside its VPCs, whatever Route 53 says
// of it.
//
// Amazon's client is used for its words alone: its retries are off, and its transport
// is package httponce, which bounds an answer and knows whether a call was sent.
package route53

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/listing"
)

// Config says which zone, and by which right.
type Config struct {
	// Zone is the zone's name, with or without trailing dot; empty for the nearest
	// one at or above Domain. ID is its ID, where names are not enough.
	Zone, ID string
	// Domain is where the cluster's names are, with or without trailing dot.
	Domain string
	// Credentials may change the zone's records.
	Credentials aws.CredentialsProvider
	// Region says which cloud, by any of its regions: "cn-north-1" for that of China.
	// Empty for the public one.
	Region string
	// Comment stands beside each change in Route 53's log; nothing depends on it.
	Comment string
	// Endpoint is where the API is; empty for Amazon's own.
	Endpoint string
	// Timeout bounds each call; 15 s by default. Pause is the first one between two
	// questions whether a change is settled; 2 s by default. PerSecond is how many
	// calls may begin in a second; 5 by default.
	Timeout, Pause time.Duration
	PerSecond      int
	// Transport carries the calls; nil for one that takes the proxy of the
	// environment.
	Transport http.RoundTripper
}

const (
	// patience is how long to wait for a change to be settled; it takes a minute at
	// most, as a rule. maxPause is the longest one between two questions.
	patience = 10 * time.Minute
	maxPause = 10 * time.Second
	// maxComment is what Route 53 takes.
	maxComment = 256
)

// Provider is a [dns.Zone] at Route 53. Beside the zone's ID it remembers the last
// list, for a moment.
type Provider struct {
	api     *api
	name    string // as configured, without trailing dot; "" to be found
	id      string // as configured
	domain  string // without trailing dot
	comment string
	pause   time.Duration

	mu   sync.Mutex
	zone Zone   // the zero Zone until it was found
	last listed // the list that the next change may build on
}

var _ dns.Zone = (*Provider)(nil)

// New makes a provider. It asks nobody.
func New(c Config) (*Provider, error) {
	domain, zone := listing.Plain(c.Domain), listing.Plain(c.Zone)
	switch {
	case domain == "":
		return nil, errors.New("a zone at Route 53 without a domain in it")
	case zone != "" && !listing.Within(domain, zone):
		return nil, fmt.Errorf("the domain %s is not in the zone %s", domain, zone)
	case c.ID != "" && !identifier(c.ID):
		return nil, fmt.Errorf("zone ID %q: want up to 32 capital letters and digits", c.ID)
	case c.Credentials == nil:
		return nil, errors.New("a zone at Route 53 without credentials for it")
	}
	api, err := newAPI(c)
	if err != nil {
		return nil, err
	}
	comment := c.Comment[:min(len(c.Comment), maxComment)]
	return &Provider{api: api, name: zone, id: c.ID, domain: domain, comment: comment, pause: cmp.Or(c.Pause, 2*time.Second)}, nil
}

// Read implements [dns.Zone].
func (p *Provider) Read(ctx context.Context, keys []cluster.Key) (cluster.Records, error) {
	records, err := p.read(ctx, keys)
	if err != nil {
		return cluster.Records{}, fmt.Errorf("read %s at Route 53: %w", p.called(), err)
	}
	return records, nil
}

// Apply implements [dns.Zone]. The receipt is the ID of the change.
func (p *Provider) Apply(ctx context.Context, changes []cluster.Change) (dns.Receipt, error) {
	r, err := p.apply(ctx, changes)
	if err != nil {
		return "", fmt.Errorf("change %s at Route 53: %w", p.called(), err)
	}
	return r, nil
}

// Settled implements [dns.Zone].
func (p *Provider) Settled(ctx context.Context, r dns.Receipt) error {
	if err := p.settled(ctx, r); err != nil {
		return fmt.Errorf("wait for change %s of %s at Route 53: %w", brief(string(r)), p.called(), err)
	}
	return nil
}

// called is the zone as a person knows it.
func (p *Provider) called() string {
	switch {
	case p.id != "":
		return "zone " + p.id
	case p.name != "":
		return "zone " + p.name
	}
	return "the zone of " + p.domain
}
