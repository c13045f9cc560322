// Package listing is what the providers share whose API lists a zone, such as
// cloudflare and route53: names as such an API has them, which part of a zone to list,
// and a list that was made to plan a change and serves to build it, too. It decides
// nothing about records, and asks nobody.
package listing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Fresh is how old a list may be on which a change is built.
const Fresh = 5 * time.Second

// Listing are all records at and below a name, at one moment, in the provider's own
// form.
type Listing[R any] struct {
	Below   string // "" for no listing
	At      time.Time
	Records []R
}

// Covers says whether a listing tells about all changes of a set, and is young
// enough to build on.
func (l Listing[R]) Covers(changes []cluster.Change, now time.Time) bool {
	return l.Below != "" && now.Sub(l.At) <= Fresh &&
		!slices.ContainsFunc(changes, func(c cluster.Change) bool { return !Within(Plain(c.Name), l.Below) })
}

// Plain is a name as these APIs have it: lower case, without trailing dot.
func Plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// Within says whether a plain name is a plain domain or below it.
func Within(name, domain string) bool { return name == domain || strings.HasSuffix(name, "."+domain) }

// Scope is the name below which all keys are: the domain, or all of the zone that
// holds it. The error is of a key that is not in the zone.
func Scope(zone, domain string, keys []cluster.Key) (below string, err error) {
	below = domain
	for _, k := range keys {
		switch name := Plain(k.Name); {
		case !Within(name, zone):
			return "", fmt.Errorf("%s %s is not in the zone %s", k.Name, k.Type, zone)
		case !Within(name, domain):
			below = zone
		}
	}
	return below, nil
}
