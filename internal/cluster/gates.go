package cluster

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseGates reads the value of etcd's option feature-gates, "A=true,B=false", as
// etcd's pkg/featuregate does. It does not know which gates there are.
func ParseGates(v string) (map[string]bool, error) {
	gates := map[string]bool{}
	for _, field := range strings.Split(v, ",") {
		if field == "" {
			continue
		}
		name, value, _ := strings.Cut(field, "=")
		on, err := strconv.ParseBool(strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("%q is not of the form NAME=true,NAME=false", v)
		}
		gates[strings.TrimSpace(name)] = on
	}
	return gates, nil
}
