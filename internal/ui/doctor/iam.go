package doctor

import (
	"context"
	"errors"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

// iamRights asks what the credentials may change in a zone where rights are granted by
// name, type and action: each kind of our names, and nothing else. One question follows
// the other, since Route 53 refuses a change while it works on another.
func iamRights(ctx context.Context, s Subject) []render.Finding {
	enough := render.Finding{Check: "update right", Grade: render.Fine,
		Found: "the credentials may change the cluster's marker, services and addresses; changes that change nothing were tried"}
	denied, err := inTurn(ctx, s, append([]cluster.Key{marker(s)}, ours(s)...))
	switch {
	case err != nil:
		enough.Grade, enough.Found, enough.Remedy = render.Broken, "unknown: "+err.Error(), remedyOf(err, "run the command again")
		return []render.Finding{enough}
	case len(denied) > 0:
		enough.Grade, enough.Found = render.Broken, "the credentials may not change "+list(denied)
		enough.Remedy = "grant it to the user or role of the credentials, with the policy of docs/dns-route53.md"
		return []render.Finding{enough}
	}
	excess := render.Finding{Check: "excess rights", Grade: render.Fine, Found: "the credentials may change no other names of the zone, as far as tested"}
	keys := outside(s)
	denied, err = inTurn(ctx, s, keys)
	switch {
	case err != nil:
		excess.Grade, excess.Found, excess.Remedy = render.Warning, "unknown: "+err.Error(), remedyOf(err, "run the command again")
	case len(denied) < len(keys):
		excess.Grade = render.Warning
		excess.Found = "the credentials may change other names of the zone too: " + list(without(keys, denied)) + " was not refused"
		excess.Remedy = "bound them to the cluster's names, with the condition keys in the policy of docs/dns-route53.md"
	}
	return []render.Finding{enough, excess}
}

// inTurn are the keys that may not be changed, or why that is not known.
func inTurn(ctx context.Context, s Subject, keys []cluster.Key) (denied []cluster.Key, err error) {
	for _, k := range keys {
		switch err := s.Try(ctx, k); {
		case errors.Is(err, dns.ErrDenied):
			denied = append(denied, k)
		case err != nil:
			return nil, err
		}
	}
	return denied, nil
}
