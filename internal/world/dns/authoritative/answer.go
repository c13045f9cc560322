package authoritative

import (
	"errors"
	"fmt"
	"strings"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rr"
)

// authority says why an answer is no word of an authority.
func authority(m *wire.Msg) error {
	switch {
	case m.Rcode != wire.RcodeSuccess && m.Rcode != wire.RcodeNameError:
		return fmt.Errorf("it answers %s", wire.RcodeToString[m.Rcode])
	case !m.Authoritative:
		return errors.New("it is not authoritative: it does not serve the zone, or delegates the name to others")
	case m.Truncated:
		return errors.New("its answer is cut off")
	case m.Rcode == wire.RcodeNameError && len(m.Answer) > 0:
		return errors.New("it denies the name and gives its records")
	}
	return nil
}

// difference is a line on how an answer differs from the set that want has
// under a key, "" if it does not. It is an error if the answer does not count.
func difference(key cluster.Key, m *wire.Msg, want cluster.Records) (string, error) {
	if err := authority(m); err != nil {
		return "", err
	}
	wanted, _ := want.Get(key)
	for _, record := range m.Answer {
		// An alias, most likely: resolvers would follow it and not see the set.
		if h := record.Header(); h.Rrtype != rr.Type(key.Type) || wire.CanonicalName(h.Name) != key.Name {
			return fmt.Sprintf("%s %s shows %s, want %s", key.Type, key.Name, wire.TypeToString[h.Rrtype], list(wanted.Values)), nil
		}
	}
	shown, err := rr.Unpack(key, m.Answer)
	if err != nil {
		return "", err
	}
	// An empty answer is a set without values, as is what want does not have.
	wanted.Key = key
	if shown.Equal(wanted) {
		return "", nil
	}
	return fmt.Sprintf("%s %s shows %s, want %s", key.Type, key.Name, list(shown.Values), list(wanted.Values)), nil
}

func list(values []string) string {
	if len(values) == 0 {
		return "nothing"
	}
	return "[" + strings.Join(values, ", ") + "]"
}
