package plan

import (
	"fmt"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// awaitRecords waits while an authoritative server of the zone shows another
// list than the primary: whoever asks a resolver before may have it remember
// the old one, or that there is none, long after it has come (rule R3). A
// server that cannot be asked is not waited for; the start gates on the hosts
// decide in the end.
func (s situation) awaitRecords(why string) []Step {
	behind := s.state.Visibility.Or(cluster.Visibility{}).Behind()
	if len(behind) == 0 {
		return nil
	}
	var all []string
	for _, b := range behind {
		all = append(all, fmt.Sprintf("%s (%s): %s", strings.TrimSuffix(b.Name, "."), b.Address, b.Behind[0]))
	}
	return []Step{AwaitRecords{Domain: s.spec.Domain, Records: cluster.Records{Sets: s.records.Sets},
		Reason: Reason{Why: why + "; " + strings.Join(all, "; "), Rules: []Rule{"R3"}}}}
}
