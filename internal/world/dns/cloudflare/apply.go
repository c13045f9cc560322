package cloudflare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/listing"
)

func (p *Provider) apply(ctx context.Context, changes []cluster.Change) error {
	if err := dns.Check(changes); err != nil || len(changes) == 0 {
		return err
	}
	z, err := p.find(ctx)
	if err != nil {
		return err
	}
	seen, b, err := p.prepare(ctx, z, changes)
	if err != nil || b.size() == 0 {
		return err
	}
	made, err := p.send(ctx, z, b)
	if err != nil {
		return err
	}
	if claims(changes) {
		return p.judge(ctx, z, changes, made, undo(seen, b, made))
	}
	return nil
}

// prepare makes the batch from the list that was read last, if that is young and
// shows what the changes expect, else from a new one. A batch that would change
// nothing has no IDs that stand for its conditions, and so needs a new list too.
func (p *Provider) prepare(ctx context.Context, z Zone, changes []cluster.Change) ([]stored, batch, error) {
	keys := make([]cluster.Key, len(changes))
	for i, c := range changes {
		keys[i] = c.Key
	}
	below, err := listing.Scope(z.Name, p.domain, keys)
	if err != nil {
		return nil, batch{}, err
	}
	p.mu.Lock()
	last := p.last
	p.last = listed{} // it serves once
	p.mu.Unlock()
	if last.Covers(changes, time.Now()) {
		if b, err := build(last.Records, changes, p.comment); err == nil && b.size() > 0 {
			return last.Records, b, nil
		}
	}
	l, err := p.list(ctx, z, below)
	if err != nil {
		return nil, batch{}, err
	}
	b, err := build(l.Records, changes, p.comment)
	return l.Records, b, err
}

// send sends a batch, once, and returns the records that it made.
func (p *Provider) send(ctx context.Context, z Zone, b batch) ([]stored, error) {
	a, err := p.api.call(ctx, http.MethodPost, "/zones/"+z.ID+"/dns_records/batch", nil, b)
	if err != nil {
		return nil, p.unwritten(err, z, b)
	}
	p.mu.Lock()
	p.gone = make(map[string]bool, len(b.Deletes))
	for _, d := range b.Deletes {
		p.gone[d.ID] = true
	}
	p.mu.Unlock()
	var result struct {
		Posts []stored `json:"posts"`
	}
	if err := json.Unmarshal(a.Result, &result); err != nil || len(result.Posts) != len(b.Posts) {
		return nil, p.unknown(p.malformed())
	}
	if slices.ContainsFunc(result.Posts, func(s stored) bool { return !identifier(s.ID) }) {
		return nil, p.unknown(p.malformed())
	}
	return result.Posts, nil
}

// undo is the batch that takes back another one, which has made these records.
func undo(seen []stored, b batch, made []stored) (back batch) {
	for _, s := range made {
		back.Deletes = append(back.Deletes, reference{s.ID})
	}
	for _, s := range seen {
		was := written{Type: s.Type, Name: s.Name, TTL: s.TTL, Proxied: s.Proxied, Data: s.Data}
		if s.Data == nil {
			was.Content = s.Content
		}
		switch {
		case slices.Contains(b.Deletes, reference{s.ID}):
			back.Posts = append(back.Posts, was)
		case slices.ContainsFunc(b.Puts, func(w written) bool { return w.ID == s.ID }):
			was.ID = s.ID
			back.Puts = append(back.Puts, was)
		}
	}
	return back
}

// verdict is what a list says about a claim.
type verdict int

const (
	unseen    verdict = iota // the list does not show it yet
	lostClaim                // somebody was first
	contested                // ours is the first, and later ones are still there
	won
)

// judge reads again after a claim. Two claims that did not see each other both
// get here; the list, which is the same for both, says who was first. The winner
// waits a moment for the others to go, lest its next reading finds them.
func (p *Provider) judge(ctx context.Context, z Zone, changes []cluster.Change, made []stored, back batch) error {
	keys := make([]cluster.Key, len(changes))
	for i, c := range changes {
		keys[i] = c.Key
	}
	below, err := listing.Scope(z.Name, p.domain, keys)
	if err != nil {
		return err
	}
	last := unseen
	for i := range attempts {
		if err := wait(ctx, i); err != nil {
			return p.unknown(err)
		}
		l, err := p.list(ctx, z, below)
		if err != nil {
			return p.unknown(err)
		}
		switch last = rule(l.Records, changes, made); last {
		case won:
			return nil
		case lostClaim:
			return p.withdraw(ctx, z, back)
		}
	}
	if last == contested {
		return nil
	}
	return p.unknown(errNotListed)
}

// rule compares the records of a claim with those that others have made where
// the claim expected nothing.
func rule(records []stored, changes []cluster.Change, made []stored) verdict {
	ours := make(map[string]bool, len(made))
	for _, s := range made {
		ours[s.ID] = true
	}
	first, found := stored{}, 0
	for _, s := range records {
		if !ours[s.ID] {
			continue
		}
		if found++; found == 1 || s.older(first) {
			first = s
		}
	}
	if found < len(made) {
		return unseen
	}
	out := won
	for _, c := range changes {
		if c.Old != nil {
			continue
		}
		for _, s := range ofKey(records, c.Key) {
			switch {
			case ours[s.ID]:
			case s.older(first):
				return lostClaim
			case c.Type == cluster.TXT:
				out = contested
			}
		}
	}
	return out
}

// withdraw takes back a claim that came second, whoever has lost patience.
func (p *Provider) withdraw(ctx context.Context, z Zone, back batch) error {
	_, err := p.send(context.WithoutCancel(ctx), z, back)
	if err != nil {
		return p.unknown(fmt.Errorf("somebody else's claim is older, and to take ours back: %w", err))
	}
	return fmt.Errorf("%w: somebody else's claim is older", dns.ErrConflict)
}

// Try asks whether the token may edit the zone's records, and changes nothing:
// it asks to delete a record that is not there.
func (p *Provider) Try(ctx context.Context) error {
	z, err := p.find(ctx)
	if err == nil {
		_, err = p.send(ctx, z, batch{Deletes: []reference{{nowhere}}})
	}
	switch {
	case errors.Is(err, dns.ErrConflict):
		return nil
	case err == nil:
		err = dns.ErrUnconditional
	}
	return fmt.Errorf("try to change %s at Cloudflare: %w", p.called(), err)
}

// nowhere is the ID of no record: they are random.
const nowhere = "00000000000000000000000000000000"
