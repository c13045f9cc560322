package cloudflare

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// batch is the body of one batch call. Cloudflare carries out deletes, puts and
// posts in this order, whatever the order of the fields.
type batch struct {
	Deletes []reference `json:"deletes,omitempty"`
	Puts    []written   `json:"puts,omitempty"`
	Posts   []written   `json:"posts,omitempty"`
}

// reference names a record.
type reference struct {
	ID string `json:"id"`
}

func (b batch) size() int { return len(b.Deletes) + len(b.Puts) + len(b.Posts) }

// build makes the batch that carries out a change set on the records that were
// seen; [dns.ErrConflict] if a set is not what its change expects.
//
//	value in Old alone         -> delete, by ID
//	value in New alone         -> post
//	value in both              -> nothing, or put if TTL or proxy are not as we write them
//
// A value that stays keeps its record: servers get each record by itself, and
// between a delete and a post some would have neither.
func build(seen []stored, changes []cluster.Change, comment string) (b batch, err error) {
	for _, c := range changes {
		have := ofKey(seen, c.Key)
		if err := expect(c, have); err != nil {
			return batch{}, err
		}
		if c.New != nil {
			if err := alias(c.Key, seen); err != nil {
				return batch{}, err
			}
		}
		if dns.Same(c.Old, c.New) {
			continue
		}
		if err := b.add(c, have, comment); err != nil {
			return batch{}, err
		}
	}
	// Addresses come before the services that name them, for servers that get
	// them one by one.
	slices.SortStableFunc(b.Posts, func(x, y written) int { return cmp.Compare(rank(x.Type), rank(y.Type)) })
	return b, nil
}

// expect compares a record set with what a change expects of it.
func expect(c cluster.Change, have []stored) error {
	set, err := join(c.Key, have)
	if err != nil {
		return err
	}
	switch {
	case (set == nil) != (c.Old == nil), set != nil && !set.Equal(*c.Old):
		there := "nothing"
		if set != nil {
			there = set.String()
		}
		return fmt.Errorf("%w: %s %s: there is %s", dns.ErrConflict, c.Name, c.Type, there)
	}
	return nil
}

func (b *batch) add(c cluster.Change, have []stored, comment string) error {
	var missing []string
	if c.New != nil {
		missing = slices.Clone(c.New.Values)
	}
	for _, s := range have {
		content, err := s.content()
		if err != nil {
			return err
		}
		at := slices.Index(missing, content)
		switch {
		case at < 0:
			b.Deletes = append(b.Deletes, reference{s.ID})
			continue
		case s.Proxied || s.seconds() != lifetime(c.New.TTL):
			w, err := write(*c.New, content, comment)
			if err != nil {
				return err
			}
			w.ID = s.ID
			b.Puts = append(b.Puts, w)
		}
		missing = slices.Delete(missing, at, at+1)
	}
	for _, value := range missing {
		w, err := write(*c.New, value, comment)
		if err != nil {
			return err
		}
		b.Posts = append(b.Posts, w)
	}
	return nil
}

// rank is the place of a type among the posts.
func rank(kind string) int {
	return slices.Index([]string{string(cluster.A), string(cluster.AAAA), string(cluster.SRV), string(cluster.TXT)}, kind)
}

// ofKey are the records of one record set.
func ofKey(records []stored, k cluster.Key) (out []stored) {
	for _, s := range records {
		if s.key() == k {
			out = append(out, s)
		}
	}
	return out
}

// join makes the record set of its records; nil if there are none. Its TTL is
// the least of theirs (RFC 2181, section 5.2).
func join(k cluster.Key, records []stored) (*cluster.RecordSet, error) {
	if len(records) == 0 {
		return nil, nil
	}
	set := cluster.RecordSet{Key: k, TTL: records[0].seconds()}
	for _, s := range records {
		value, err := s.value()
		if err != nil {
			return nil, err
		}
		set.Values = append(set.Values, value)
		set.TTL = min(set.TTL, s.seconds())
	}
	set = set.Canonical()
	return &set, nil
}

// claims says that a change set makes a marker where none was: no record's ID
// stands for that condition.
func claims(changes []cluster.Change) bool {
	return slices.ContainsFunc(changes, func(c cluster.Change) bool {
		return c.Type == cluster.TXT && c.Old == nil && c.New != nil
	})
}

// collect is what a list says about some keys: their record sets, in order.
func collect(keys []cluster.Key, records []stored) (cluster.Records, error) {
	keys = slices.SortedFunc(slices.Values(keys), func(a, b cluster.Key) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.Type), string(b.Type)))
	})
	var out cluster.Records
	for _, k := range slices.Compact(keys) { // a key may be given twice
		if err := alias(k, records); err != nil {
			return cluster.Records{}, err
		}
		set, err := join(k, ofKey(records, k))
		if err != nil {
			return cluster.Records{}, err
		}
		if set != nil {
			out.Sets = append(out.Sets, *set)
		}
	}
	return out, nil
}
