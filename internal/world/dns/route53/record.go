package route53

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/listing"
)

// mostTTL is the longest TTL that Route 53 takes.
const mostTTL = 1<<31 - 1

// keyOf is the record set that Route 53 means. Names come in lower case with a
// trailing dot; characters that no name of ours has come as octal codes and stay so.
func keyOf(s types.ResourceRecordSet) cluster.Key {
	return cluster.Key{Name: listing.Plain(aws.ToString(s.Name)) + ".", Type: cluster.RecordType(s.Type)}
}

// foreign says why a record set is not one that pleiad could have written: an alias, or
// one of several that share a name and are chosen by weight, place or health. It
// has no values, or not the only ones.
func foreign(s types.ResourceRecordSet) string {
	switch {
	case s.AliasTarget != nil:
		return fmt.Sprintf("an alias of %s", brief(aws.ToString(s.AliasTarget.DNSName)))
	case aws.ToString(s.SetIdentifier) != "":
		return fmt.Sprintf("one of several with a routing policy, %q", brief(*s.SetIdentifier))
	case aws.ToString(s.HealthCheckId) != "":
		return "bound to a health check"
	case aws.ToString(s.TrafficPolicyInstanceId) != "":
		return "made by a traffic policy"
	}
	return ""
}

// claimed says that the name of a key belongs to somebody else: an alias, a delegation
// or a record set with a routing policy is there.
func claimed(k cluster.Key, sets []types.ResourceRecordSet) error {
	for _, s := range sets {
		other := keyOf(s)
		if other.Name != k.Name {
			continue
		}
		why := ""
		switch {
		case s.Type == types.RRTypeCname || s.Type == types.RRTypeNs:
			why = "there is a record of this type"
		case other == k:
			why = foreign(s)
		}
		if why != "" {
			return fault.WithRemedy(fmt.Errorf("%w: the name belongs to somebody else: %s %s: %s", fault.Occupied, k.Name, s.Type, why),
				"remove that record set, or give the cluster another domain")
		}
	}
	return nil
}

// read is a stored record set in canonical form.
func read(s types.ResourceRecordSet) (cluster.RecordSet, error) {
	k := keyOf(s)
	set := cluster.RecordSet{Key: k, TTL: uint32(min(max(aws.ToInt64(s.TTL), 0), mostTTL))}
	for _, r := range s.ResourceRecords {
		value, err := canonical(k.Type, aws.ToString(r.Value))
		if err != nil {
			return set, fmt.Errorf("%s %s: %w", k.Name, k.Type, err)
		}
		set.Values = append(set.Values, value)
	}
	return set.Canonical(), nil
}

// canonical is a value as package cluster has it, however somebody spelt it.
func canonical(kind cluster.RecordType, value string) (string, error) {
	switch kind {
	case cluster.TXT:
		return unquote(value)
	case cluster.SRV:
		f := strings.Fields(strings.ToLower(value))
		if len(f) == 4 {
			f[3] = strings.TrimSuffix(f[3], ".") + "."
		}
		return strings.Join(f, " "), nil
	}
	if addr, err := netip.ParseAddr(value); err == nil {
		return addr.String(), nil
	}
	return strings.ToLower(value), nil
}

// write is a record set as Route 53 takes it.
func write(set cluster.RecordSet) *types.ResourceRecordSet {
	out := &types.ResourceRecordSet{Name: aws.String(set.Name), Type: types.RRType(set.Type), TTL: aws.Int64(min(int64(set.TTL), mostTTL))}
	for _, v := range set.Values {
		if set.Type == cluster.TXT {
			v = quote(v)
		}
		out.ResourceRecords = append(out.ResourceRecords, types.ResourceRecord{Value: aws.String(v)})
	}
	return out
}
