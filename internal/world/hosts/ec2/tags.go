package ec2

import (
	"fmt"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// The tags of an instance and its volumes. Cluster and domain say whose they are;
// clusters of one name, which other control sides may have, differ by the domain.
const (
	tagCluster   = "pleiad:cluster"
	tagDomain    = "pleiad:domain"
	tagMember    = "pleiad:member"
	tagToken     = "pleiad:token"
	tagContacted = "pleiad:contacted" // somebody has logged in, and may have put something on it
	tagKept      = "pleiad:kept"      // of a volume whose host is gone
	tagName      = "Name"             // for people
)

type tag struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

// claim are the tags that say whose something is.
func (p *Provider) claim() []tag {
	domain := p.Spec.Domain
	if p.Spec.DiscoveryName != "" {
		domain += "/" + p.Spec.DiscoveryName
	}
	return []tag{{tagCluster, string(p.Spec.Cluster)}, {tagDomain, domain}}
}

// claimOf are the tags that say of which host something is.
func (p *Provider) claimOf(name cluster.MemberName) []tag {
	return append(p.claim(), tag{tagMember, string(name)})
}

// tags are all that a new instance and its volume get.
func (p *Provider) tags(name cluster.MemberName, token cluster.Token) []tag {
	return append(p.claimOf(name), tag{tagToken, string(token)}, tag{tagName, fmt.Sprintf("%s.%s", name, p.Spec.Domain)})
}

func valueOf(tags []tag, key string) string {
	for _, t := range tags {
		if t.Key == key {
			return t.Value
		}
	}
	return ""
}
