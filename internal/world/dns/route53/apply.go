package route53

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/listing"
)

func (p *Provider) apply(ctx context.Context, changes []cluster.Change) (dns.Receipt, error) {
	if err := dns.Check(changes); err != nil || len(changes) == 0 {
		return "", err
	}
	z, err := p.find(ctx)
	if err != nil {
		return "", err
	}
	batch, err := p.prepare(ctx, z, changes)
	if err != nil || len(batch) == 0 {
		return "", err
	}
	return p.send(ctx, z, batch)
}

// prepare makes the batch from the list that was read last, if that is young and
// shows what the changes expect, else from a new one. A batch that would change
// nothing is not sent, so that its conditions need a new list.
func (p *Provider) prepare(ctx context.Context, z Zone, changes []cluster.Change) ([]types.Change, error) {
	keys := make([]cluster.Key, len(changes))
	for i, c := range changes {
		keys[i] = c.Key
	}
	below, err := listing.Scope(z.Name, p.domain, keys)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	last := p.last
	p.last = listed{} // it serves once
	p.mu.Unlock()
	if last.Covers(changes, time.Now()) {
		if batch, err := build(last.Records, changes); err == nil && len(batch) > 0 {
			return batch, nil
		}
	}
	l, err := p.list(ctx, z, below)
	if err != nil {
		return nil, err
	}
	return build(l.Records, changes)
}

// send sends a batch, once.
func (p *Provider) send(ctx context.Context, z Zone, batch []types.Change) (dns.Receipt, error) {
	if err := fits(batch); err != nil {
		return "", err
	}
	in := &sdk.ChangeResourceRecordSetsInput{HostedZoneId: &z.ID, ChangeBatch: &types.ChangeBatch{Changes: batch, Comment: &p.comment}}
	if p.comment == "" {
		in.ChangeBatch.Comment = nil
	}
	out, err := call(ctx, p.api, "ChangeResourceRecordSets", (*sdk.Client).ChangeResourceRecordSets, in)
	if err != nil {
		return "", p.unwritten(err, z)
	}
	if out.ChangeInfo == nil || aws.ToString(out.ChangeInfo.Id) == "" {
		return "", p.unknown(errors.New("the answer names no change"))
	}
	return dns.Receipt(strings.TrimPrefix(*out.ChangeInfo.Id, "/change/")), nil
}

// settled asks until all servers of Route 53 have a change. A question that is lost or
// comes too early is asked again: nothing depends on it.
func (p *Provider) settled(ctx context.Context, r dns.Receipt) error {
	if r == "" {
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not within %s", patience))
	defer cancel()
	id := string(r)
	for pause := p.pause; ; pause = min(2*pause, maxPause) {
		out, err := call(ctx, p.api, "GetChange", (*sdk.Client).GetChange, &sdk.GetChangeInput{Id: &id})
		wait := pause
		switch {
		case err == nil && out.ChangeInfo != nil && out.ChangeInfo.Status == types.ChangeStatusInsync:
			return nil
		case err != nil:
			err = p.unread(err, Zone{})
			if fault.Lasting(err) {
				return err
			}
			wait = max(wait, fault.RetryAfter(err))
		}
		if late := rest(ctx, wait); late != nil {
			return fault.WithRemedy(fmt.Errorf("%w: not all servers of Route 53 have the change yet: %w", dns.ErrUnreachable, late), again)
		}
	}
}

// Try asks whether a record set may be changed, ours or not, and changes nothing: it
// asks to delete a value that nobody has and to make another one, which fails as a
// whole. Rights are looked at first.
func (p *Provider) Try(ctx context.Context, k cluster.Key) error {
	err := p.try(ctx, k)
	switch {
	case errors.Is(err, dns.ErrConflict):
		return nil
	case err == nil:
		err = dns.ErrUnconditional
	}
	return fmt.Errorf("try to change %s %s: %w", k.Name, k.Type, err)
}

func (p *Provider) try(ctx context.Context, k cluster.Key) error {
	z, err := p.find(ctx)
	if err != nil {
		return err
	}
	values := map[cluster.RecordType][2]string{
		cluster.TXT:  {"pleiad asks whether it may change this", "pleiad asks for nothing more"},
		cluster.SRV:  {"0 0 1 pleiad-asks.invalid.", "0 0 2 pleiad-asks.invalid."},
		cluster.A:    {"192.0.2.1", "192.0.2.2"}, // of no host (RFC 5737, RFC 3849)
		cluster.AAAA: {"2001:db8::1", "2001:db8::2"},
	}[k.Type]
	_, err = p.send(ctx, z, []types.Change{
		{Action: types.ChangeActionDelete, ResourceRecordSet: write(cluster.NewRecordSet(k.Name, k.Type, values[0]))},
		{Action: types.ChangeActionCreate, ResourceRecordSet: write(cluster.NewRecordSet(k.Name, k.Type, values[1]))},
	})
	return err
}
