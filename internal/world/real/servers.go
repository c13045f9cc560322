package real

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/authoritative"
)

// givenServers are the name servers that a provider gives a zone. Which these are
// only the provider knows, so it is asked at the first comparison.
type givenServers struct {
	by string // the provider, as people know it
	// zone is the zone's name and its name servers.
	zone    func(context.Context) (string, []string, error)
	quiet   bool
	timeout time.Duration
}

var _ dns.Authoritatives = givenServers{}

// withServers is the world with such name servers. The loop looks before the zone may be
// delegated, so that it asks quietly.
func withServers(w World, g givenServers) World {
	w.NameServers = g
	g.quiet, g.timeout = true, time.Second
	w.World.Authoritatives = g
	return w
}

// Compare asks one of them for the others, and says so if these are not the ones
// that the provider names: then the zone that we write is not the one that is asked.
func (g givenServers) Compare(ctx context.Context, keys []cluster.Key, want cluster.Records) (cluster.Visibility, error) {
	zone, given, err := g.zone(ctx)
	if err != nil {
		return cluster.Visibility{}, err
	}
	err = errors.New("there are none at " + g.by)
	for _, name := range given {
		var servers *authoritative.Servers
		if servers, err = authoritative.New(authoritative.Config{Primary: name, Zone: zone, Quiet: g.quiet, Timeout: g.timeout}); err != nil {
			continue
		}
		var v cluster.Visibility
		if v, err = servers.Compare(ctx, keys, want); err == nil {
			return otherServers(v, zone, given, g.by), nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return cluster.Visibility{}, fmt.Errorf("find the name servers of zone %s: %w", zone, err)
}

// otherServers adds a note if the servers that were found are not those that the
// provider gave the zone.
func otherServers(v cluster.Visibility, zone string, given []string, by string) cluster.Visibility {
	var named, found []string
	for _, name := range given {
		named = append(named, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	for _, s := range v.Servers {
		found = append(found, strings.TrimSuffix(s.Name, "."))
	}
	slices.Sort(named)
	slices.Sort(found)
	if named, found = slices.Compact(named), slices.Compact(found); !slices.Equal(named, found) {
		v.Notes = append(v.Notes, fmt.Sprintf("zone %s names %s as its name servers, but %s gave it %s: resolvers may ask a zone that is not the one written here",
			zone, strings.Join(found, ", "), by, strings.Join(named, ", ")))
	}
	return v
}
