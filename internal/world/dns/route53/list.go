package route53

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/listing"
)

const (
	// perPage is the most that one call lists.
	perPage = 300
	// maxPages bounds a list: the domain of a cluster holds a few dozen record sets,
	// but its zone may be a large company's.
	maxPages = 100
	// readings are how often a list of several pages is read until two agree.
	readings = 6
)

// listed are all record sets at and below a name, at one moment.
type listed = listing.Listing[types.ResourceRecordSet]

func (p *Provider) read(ctx context.Context, keys []cluster.Key) (cluster.Records, error) {
	if err := dns.CheckKeys(keys); err != nil || len(keys) == 0 {
		return cluster.Records{}, err
	}
	z, err := p.find(ctx)
	if err != nil {
		return cluster.Records{}, err
	}
	below, err := listing.Scope(z.Name, p.domain, keys)
	if err != nil {
		return cluster.Records{}, err
	}
	l, err := p.list(ctx, z, below)
	if err != nil {
		return cluster.Records{}, err
	}
	records, err := collect(keys, l.Records)
	if err != nil {
		return cluster.Records{}, err
	}
	p.mu.Lock()
	p.last = l
	p.mu.Unlock()
	return records, nil
}

// list reads all record sets at and below a name. One page is of one moment, and
// shows every change that was accepted before; several pages are of one moment if
// two readings agree.
func (p *Provider) list(ctx context.Context, z Zone, below string) (listed, error) {
	var last []types.ResourceRecordSet
	for i := range readings {
		at := time.Now() // before the call: a list is as old as its question
		sets, single, err := p.sweep(ctx, z, below)
		if err != nil {
			return listed{}, p.unread(err, z)
		}
		if single || i > 0 && reflect.DeepEqual(sets, last) {
			return listed{Below: below, At: at, Records: sets}, nil
		}
		last = sets
	}
	return listed{}, fault.WithRemedy(fmt.Errorf("%w: the records changed during each of %d readings", dns.ErrUnreachable, readings), again)
}

// sweep reads all pages once, and says whether there was one alone. Route 53 orders
// names by their labels from the right, so that those at and below a name follow each
// other; the first that is elsewhere ends the list.
func (p *Provider) sweep(ctx context.Context, z Zone, below string) (sets []types.ResourceRecordSet, single bool, err error) {
	in := &sdk.ListResourceRecordSetsInput{HostedZoneId: &z.ID, MaxItems: aws.Int32(perPage), StartRecordName: aws.String(below + ".")}
	for page := range maxPages {
		out, err := call(ctx, p.api, "ListResourceRecordSets", (*sdk.Client).ListResourceRecordSets, in)
		if err != nil {
			return nil, false, err
		}
		for _, s := range out.ResourceRecordSets {
			if !listing.Within(listing.Plain(aws.ToString(s.Name)), below) {
				return sets, page == 0, nil
			}
			sets = append(sets, s)
		}
		if !out.IsTruncated {
			return sets, page == 0, nil
		}
		if aws.ToString(out.NextRecordName) == "" {
			return nil, false, lost("a list that goes on, and does not say where")
		}
		in.StartRecordName, in.StartRecordType, in.StartRecordIdentifier = out.NextRecordName, out.NextRecordType, out.NextRecordIdentifier
	}
	return nil, false, fault.WithRemedy(fmt.Errorf("%w: more than %d record sets at and below %s", fault.Unsupported, len(sets), below), "give the cluster a domain of its own below the zone")
}

// collect is what a list says about some keys: their record sets, in order.
func collect(keys []cluster.Key, sets []types.ResourceRecordSet) (cluster.Records, error) {
	keys = slices.SortedFunc(slices.Values(keys), func(a, b cluster.Key) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.Type), string(b.Type)))
	})
	var out cluster.Records
	for _, k := range slices.Compact(keys) { // a key may be given twice
		if err := claimed(k, sets); err != nil {
			return cluster.Records{}, err
		}
		stored := find(k, sets)
		if stored == nil {
			continue
		}
		set, err := read(*stored)
		if err != nil {
			return cluster.Records{}, err
		}
		out.Sets = append(out.Sets, set)
	}
	return out, nil
}

// find is the record set of a key; nil if there is none.
func find(k cluster.Key, sets []types.ResourceRecordSet) *types.ResourceRecordSet {
	for i := range sets {
		if keyOf(sets[i]) == k {
			return &sets[i]
		}
	}
	return nil
}
