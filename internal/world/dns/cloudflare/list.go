package cloudflare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/httponce"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/listing"
)

const (
	// perPage is what one call lists. Cloudflare may give fewer.
	perPage = 5000
	// maxPages bounds a list: the domain of a cluster holds a few hundred
	// records at most, but its zone may be a large company's.
	maxPages = 100
	// attempts to get a list that is whole, or not behind our own last change,
	// and the pause before the second; each further one is twice as long.
	attempts   = 6
	firstPause = 50 * time.Millisecond
)

// listed are all records at and below a name, at one moment.
type listed = listing.Listing[stored]

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

// list asks for all records at and below a name. A list that holds what our own
// last change has deleted is from before it, and is asked for again.
func (p *Provider) list(ctx context.Context, z Zone, below string) (listed, error) {
	for i := range attempts {
		if err := wait(ctx, i); err != nil {
			return listed{}, p.unread(&httponce.Lost{Err: err}, z)
		}
		at := time.Now() // before the call: a list is as old as its question
		records, err := p.pages(ctx, z, below)
		if err != nil {
			return listed{}, err
		}
		if !p.behind(records) {
			return listed{Below: below, At: at, Records: records}, nil
		}
	}
	return listed{}, fault.WithRemedy(fmt.Errorf("%w: its list of records is older than our last change, %d times", dns.ErrUnreachable, attempts), again)
}

// behind says whether a list is from before our last change.
func (p *Provider) behind(records []stored) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range records {
		if p.gone[s.ID] {
			return true
		}
	}
	return false
}

// pages reads all pages of a list. One page is of one moment; several are if two
// readings agree, since a record that goes shifts those behind it.
func (p *Provider) pages(ctx context.Context, z Zone, below string) ([]stored, error) {
	var last []stored
	for i := range attempts {
		records, single, err := p.sweep(ctx, z, below)
		if err != nil {
			return nil, err
		}
		if single || i > 0 && reflect.DeepEqual(records, last) {
			return records, nil
		}
		last = records
	}
	return nil, fault.WithRemedy(fmt.Errorf("%w: the records changed during each of %d readings", dns.ErrUnreachable, attempts), again)
}

// sweep reads all pages once, and says whether there was one alone. The count
// that Cloudflare gives decides when all were read, not the size of a page,
// which it may choose; past the end a page is empty.
func (p *Provider) sweep(ctx context.Context, z Zone, below string) (records []stored, single bool, err error) {
	read := 0
	for page := 1; page <= maxPages; page++ {
		part, total, err := p.page(ctx, z, below, page)
		if err != nil {
			return nil, false, err
		}
		for _, s := range part {
			// The filter knows no labels: xetcd.example.com ends with etcd.example.com.
			if listing.Within(listing.Plain(s.Name), below) {
				records = append(records, s)
			}
		}
		read += len(part)
		switch {
		case read >= total:
			return records, page == 1, nil
		case len(part) == 0: // fewer than were promised: some went meanwhile
			return records, false, nil
		}
	}
	return nil, false, fault.WithRemedy(fmt.Errorf("more than %d records at and below %s", read, below), "give the cluster a domain of its own below the zone")
}

func (p *Provider) page(ctx context.Context, z Zone, below string, page int) ([]stored, int, error) {
	a, err := p.api.call(ctx, http.MethodGet, "/zones/"+z.ID+"/dns_records", url.Values{
		"name.endswith": {below}, "order": {"name"}, "per_page": {strconv.Itoa(perPage)}, "page": {strconv.Itoa(page)},
	}, nil)
	if err != nil {
		return nil, 0, p.unread(err, z)
	}
	var records []stored
	if err := json.Unmarshal(a.Result, &records); err != nil || records == nil {
		return nil, 0, p.malformed()
	}
	for _, s := range records {
		if !identifier(s.ID) || s.Name == "" || s.Type == "" {
			return nil, 0, p.malformed()
		}
	}
	return records, a.ResultInfo.TotalCount, nil
}

// alias says that the name of a key belongs to somebody else: an alias or a
// delegation is there.
func alias(k cluster.Key, records []stored) error {
	for _, s := range records {
		if listing.Plain(s.Name)+"." == k.Name && (s.Type == "CNAME" || s.Type == "NS") {
			return fault.WithRemedy(fmt.Errorf("the name belongs to somebody else: %s has a record %s %q", k.Name, s.Type, cut(s.Content, 80)),
				"remove that record, or give the cluster another domain")
		}
	}
	return nil
}

// wait pauses before an attempt, the first excepted.
func wait(ctx context.Context, attempt int) error {
	if attempt == 0 {
		return nil
	}
	t := time.NewTimer(firstPause << (attempt - 1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// errNotListed is why a claim cannot be judged.
var errNotListed = errors.New("the list of records does not show what was just written")
