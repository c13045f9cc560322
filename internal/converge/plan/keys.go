package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

// unusable refuses to act with keys that cannot be used.
func (s situation) unusable() Refusal {
	c := s.control
	r := Refusal{Rule: "R15", What: "act for this cluster",
		Evidence: []string{"the keys in this state directory cannot be used: " + c.Unusable}}
	if c.Remedy != "" {
		r.Remedy = KeysSay.lines(c.Remedy)
	}
	return r
}

// withoutKeys is the way out where the keys of the CAs are lost for good. Nobody
// can issue a certificate any more, nor exchange a CA; but each member has a
// certificate with which it is a client of itself, and the data can be saved with
// that.
func (s situation) withoutKeys(r *Refusal) []Remedy {
	running := runningOf(visible(s.hosts))
	i := slices.IndexFunc(running, func(h cluster.Host) bool { return certificate(h) != nil })
	if i < 0 {
		return nil
	}
	end := certificate(running[i]).NotAfter
	for _, h := range running {
		if c := certificate(h); c != nil && c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	r.Evidence = append(r.Evidence, "members serve until their certificates end, the first on "+end.UTC().Format(time.DateOnly))
	out := []Remedy{SaveData.Say("if the keys are lost for good, save the data with a certificate that a member has:")}
	h, from := running[i], running[i].Paths.Config+"/pki/"
	if s.spec.OnMachines() {
		out = append(out, SaveData.Say(fmt.Sprintf("%s tar -c -C %s client-ca.crt gateway.crt gateway.key | tar -x", s.loginAsRoot(h), shell.Quote(from))))
		from = ""
	}
	out = append(out, SaveData.form("{etcdctl}--endpoints https://%s:%d --cacert %s --cert %s --key %s snapshot save FILE",
		h.Address, h.Ports.Client, shell.Quote(from+"client-ca.crt"), shell.Quote(from+"gateway.crt"), shell.Quote(from+"gateway.key")))
	return append(out, StartOver.Say())
}
