package route53

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// What Route 53 takes in one request: values, and characters of all of them together.
const (
	maxValues     = 1000
	maxCharacters = 32000
)

// build makes the batch that carries out a change set on the record sets that were
// seen; [dns.ErrConflict] if one is not what its change expects.
//
//	Old, New -> DELETE what is stored, CREATE New
//	Old, nil -> DELETE what is stored
//	nil, New -> CREATE New, which fails if there is one
//	nil, nil -> nothing: compared here alone
//
// DELETE names the TTL and all values as they are stored, in the letters they have,
// and fails if one of them has changed. So every condition but the last is Route 53's
// to check, in the same act. A set that only must stand is written anew as it was, for
// that reason; a batch that would change nothing is none.
func build(seen []types.ResourceRecordSet, changes []cluster.Change) ([]types.Change, error) {
	var deletes, creates []types.Change
	changed := false
	for _, c := range changes {
		stored, err := expect(c, seen)
		if err != nil {
			return nil, err
		}
		if stored != nil {
			deletes = append(deletes, types.Change{Action: types.ChangeActionDelete, ResourceRecordSet: stored})
		}
		changed = changed || !dns.Same(c.Old, c.New)
		switch {
		case c.New == nil:
		case dns.Same(c.Old, c.New) && stored != nil:
			creates = append(creates, types.Change{Action: types.ChangeActionCreate, ResourceRecordSet: stored})
		default:
			creates = append(creates, types.Change{Action: types.ChangeActionCreate, ResourceRecordSet: write(*c.New)})
		}
	}
	if !changed {
		return nil, nil
	}
	return append(deletes, creates...), nil
}

// expect compares a stored record set with what a change expects, and gives it as it is
// stored.
func expect(c cluster.Change, seen []types.ResourceRecordSet) (*types.ResourceRecordSet, error) {
	if err := claimed(c.Key, seen); err != nil {
		return nil, err
	}
	stored := find(c.Key, seen)
	there := "nothing"
	if stored != nil {
		set, err := read(*stored)
		if err != nil {
			return nil, err
		}
		if c.Old != nil && set.Equal(*c.Old) {
			return stored, nil
		}
		there = set.String()
	}
	if stored == nil && c.Old == nil {
		return nil, nil
	}
	return nil, fmt.Errorf("%w: %s %s: there is %s", dns.ErrConflict, c.Name, c.Type, there)
}

// fits says why a batch is too large for one request. It is never divided: what is
// done by halves is not done.
func fits(batch []types.Change) error {
	values, characters := 0, 0
	for _, c := range batch {
		for _, r := range c.ResourceRecordSet.ResourceRecords {
			values++
			characters += len(aws.ToString(r.Value))
		}
	}
	if values > maxValues || characters > maxCharacters {
		return fault.WithRemedy(fmt.Errorf("%w: the change has %d values of %d characters together, and Route 53 takes %d and %d in one request",
			fault.Unsupported, values, characters, maxValues, maxCharacters), "take fewer members, or a shorter domain")
	}
	return nil
}
