package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

// tokenFile looks who may read the token, where it is in a file.
func tokenFile(_ context.Context, s Subject) render.Finding {
	path := s.Spec.ZoneKeyFile()
	if path == "" {
		return render.Finding{Check: "token file", Grade: render.Fine, Found: "none: the token is taken from the environment"}
	}
	return secretFile("token file", path, "put the token there, or name another dns.cloudflare.tokenFile")
}

// tokenRights asks what the token allows: enough, and how much more. Whoever
// steals it could do as much.
func tokenRights(ctx context.Context, s Subject) []render.Finding {
	enough := render.Finding{Check: "token", Grade: render.Fine}
	g, err := s.Grants(ctx)
	if err != nil {
		enough.Grade, enough.Found, enough.Remedy = render.Broken, err.Error(), remedyOf(err, "run the command again")
		if !fault.Lasting(err) {
			enough.Found = "unknown: " + enough.Found
		}
		return []render.Finding{enough}
	}
	enough.Found = fmt.Sprintf("accepted, and may edit the records of zone %s; a change that changes nothing was tried", g.Zone)
	excess := render.Finding{Check: "excess rights", Grade: render.Fine, Found: "the token is for zone " + g.Zone + " alone, all of its records: there are no grants by name"}
	var more []string
	if len(g.Others) > 0 {
		more = append(more, "it is for other zones too: "+some(g.Others))
	}
	if len(g.Excess) > 0 {
		more = append(more, "it may do more with zone "+g.Zone+": "+some(g.Excess))
	}
	if len(more) > 0 {
		excess.Grade, excess.Found = render.Warning, strings.Join(more, "; ")
		excess.Remedy = "make a token for zone " + g.Zone + " alone, with \"Zone, DNS, Edit\" and \"Zone, Zone, Read\", at https://dash.cloudflare.com/profile/api-tokens"
	}
	return []render.Finding{enough, excess}
}

// some are the first of many words.
func some(words []string) string {
	const few = 5
	if len(words) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:few], ", "), len(words)-few)
	}
	return strings.Join(words, ", ")
}

// located is the subject with its zone, where that is left to the provider to
// find. If it cannot be found the checks that ask the provider say why.
func located(ctx context.Context, s Subject) Subject {
	if s.FindZone == nil {
		return s
	}
	if zone, err := s.FindZone(ctx); err == nil {
		s.Spec = s.Spec.InZone(zone)
	}
	return s
}
