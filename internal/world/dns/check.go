package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Check says what makes a change set one that no provider may carry out. It
// asks for canonical form, because a guard that differs from the records in
// nothing but its spelling would fail for ever. Old is what a provider has
// read, so the form of its values is not judged again.
func Check(changes []cluster.Change) error {
	seen := make(map[cluster.Key]bool, len(changes))
	for _, c := range changes {
		if err := CheckKeys([]cluster.Key{c.Key}); err != nil {
			return err
		}
		if seen[c.Key] {
			return fmt.Errorf("%s %s is changed twice in one set", c.Name, c.Type)
		}
		seen[c.Key] = true
		for _, set := range []*cluster.RecordSet{c.Old, c.New} {
			if err := checkSet(c.Key, set); err != nil {
				return err
			}
		}
		if c.New == nil {
			continue
		}
		if c.New.TTL == 0 {
			return fmt.Errorf("%s %s: the TTL is not set", c.Name, c.Type)
		}
		for _, v := range c.New.Values {
			if err := checkValue(c.Type, v); err != nil {
				return fmt.Errorf("%s %s: %w", c.Name, c.Type, err)
			}
		}
	}
	return nil
}

func checkSet(k cluster.Key, set *cluster.RecordSet) error {
	switch {
	case set == nil:
		return nil
	case set.Key != k:
		return fmt.Errorf("a change of %s %s carries records of %s %s", k.Name, k.Type, set.Name, set.Type)
	case len(set.Values) == 0:
		return fmt.Errorf("%s %s: a record set without values; absence is nil", k.Name, k.Type)
	case !slices.Equal(set.Values, set.Canonical().Values):
		return fmt.Errorf("%s %s: values %q are not canonical: lower case, sorted, distinct", k.Name, k.Type, set.Values)
	}
	return nil
}

// CheckKeys says which key is not canonical. To look up such a key would find
// nothing, and a thing wrongly taken for absent is worse than an error.
func CheckKeys(keys []cluster.Key) error {
	for _, k := range keys {
		if !slices.Contains([]cluster.RecordType{cluster.A, cluster.AAAA, cluster.SRV, cluster.TXT}, k.Type) {
			return fmt.Errorf("%s %s: pleiad has no records of this type", k.Name, k.Type)
		}
		if err := checkName(k.Name); err != nil {
			return err
		}
	}
	return nil
}

// checkName asks for a complete lower-case name within the limits of RFC 1035,
// section 2.3.4, of letters, digits, hyphens and underscores: no wildcards and
// nothing that would need escapes.
func checkName(name string) error {
	labels, complete := strings.CutSuffix(name, ".")
	if !complete || len(name) > 254 {
		return fmt.Errorf("name %q: want a complete name with its trailing dot, at most 254 bytes", name)
	}
	for _, label := range strings.Split(labels, ".") {
		if len(label) == 0 || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return fmt.Errorf("name %q: want labels of 1 to 63 lower-case letters, digits, hyphens and underscores", name)
		}
	}
	return nil
}

func checkValue(kind cluster.RecordType, value string) error {
	switch kind {
	case cluster.A, cluster.AAAA:
		addr, err := netip.ParseAddr(value)
		if err != nil || addr.Zone() != "" || addr.Is4() != (kind == cluster.A) || addr.String() != value {
			return fmt.Errorf("value %q: want an address of this type in its shortest form", value)
		}
	case cluster.SRV:
		f := strings.Split(value, " ")
		if len(f) != 4 {
			return fmt.Errorf("value %q: want priority, weight, port and target", value)
		}
		for _, number := range f[:3] {
			if n, err := strconv.ParseUint(number, 10, 16); err != nil || strconv.FormatUint(n, 10) != number {
				return fmt.Errorf("value %q: want numbers from 0 to 65535 before the target", value)
			}
		}
		return checkName(f[3])
	}
	return nil
}
