package ec2

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// Launch implements hosts.Provider. The client token is made from the incarnation,
// the name and the instance type: the same call again, by whomever, gives the same
// instance for at least a day after its end, also where the first answer was lost.
// Where the same token comes with other words, such as another image of an edited
// spec, EC2 refuses, and so the instance exists: it is waited for.
func (p *Provider) Launch(ctx context.Context, name cluster.MemberName, token cluster.Token, _ ...netip.Addr) error {
	if err := p.launch(ctx, name, token); err != nil {
		return fmt.Errorf("launch host %s: %w", name, err)
	}
	return nil
}

func (p *Provider) launch(ctx context.Context, name cluster.MemberName, token cluster.Token) error {
	found, ended, err := p.find(ctx, name)
	switch {
	case err != nil:
		return err
	case found != nil && found.tag(tagToken) != string(token):
		return fmt.Errorf("%s holds incarnation %s of it, want %s: %w", found.ID, found.tag(tagToken), token, hosts.ErrForeign)
	case found != nil:
		return p.settle(ctx, name)
	}
	order, err := p.order(ctx, name, token)
	if err != nil {
		return err
	}
	// A token of an instance that has ended gives that one again, or is refused.
	for attempt := ended; attempt < ended+maxAttempts; attempt++ {
		launched, err := p.run(ctx, order, name, token, attempt)
		switch {
		case isCode(err, "IdempotentParameterMismatch"):
			return p.settle(ctx, name)
		case isCode(err, "IdempotentInstanceTerminated"):
		case err != nil:
			return err
		case launched.State != terminated && launched.State != shuttingDown:
			return p.settle(ctx, name)
		}
	}
	return fmt.Errorf("%d instances of it have ended at once: %w", maxAttempts, errGone)
}

// maxAttempts bounds how many instances of one host may have ended before.
const maxAttempts = 5

// run launches an instance of the first type that its zone has room for.
func (p *Provider) run(ctx context.Context, order url.Values, name cluster.MemberName, token cluster.Token, attempt int) (instance, error) {
	var err error
	for _, kind := range p.spec().InstanceTypes {
		order.Set("InstanceType", kind)
		order.Set("ClientToken", clientToken(token, name, kind, attempt))
		var launched instance
		if launched, err = p.api.run(ctx, order); !isCode(err, "InsufficientInstanceCapacity") {
			return launched, err
		}
	}
	return instance{}, err
}

// clientToken has at most 64 characters.
func clientToken(token cluster.Token, name cluster.MemberName, kind string, attempt int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%s|%d", token, name, kind, attempt))
	return "pleiad-" + hex.EncodeToString(sum[:20])
}

// settle waits until an instance that was launched is in the list.
func (p *Provider) settle(ctx context.Context, name cluster.MemberName) error {
	for {
		found, _, err := p.find(ctx, name)
		if err != nil {
			return err
		}
		if found != nil {
			if _, why := p.host(*found); why == "" {
				return nil
			}
		}
		if err := p.wait(ctx); err != nil {
			return fmt.Errorf("it was launched and is not listed yet: %w", err)
		}
	}
}

// order is the call that launches an instance, less its type and client token.
func (p *Provider) order(ctx context.Context, name cluster.MemberName, token cluster.Token) (url.Values, error) {
	device, err := p.rootDevice(ctx)
	if err != nil {
		return nil, err
	}
	private, public, err := p.FirstKey(name)
	if err != nil {
		return nil, err
	}
	s := p.spec()
	order := url.Values{"MinCount": {"1"}, "MaxCount": {"1"}, "ImageId": {s.Image}, "KeyName": {s.KeyName}, "SubnetId": {p.subnet(name)},
		"UserData":                                {base64.StdEncoding.EncodeToString(userData(private, public))},
		"MetadataOptions.HttpTokens":              {"required"},
		"MetadataOptions.HttpPutResponseHopLimit": {"1"},
		"BlockDeviceMapping.1.DeviceName":         {device},
		"BlockDeviceMapping.1.Ebs.VolumeType":     {"gp3"},
		"BlockDeviceMapping.1.Ebs.Encrypted":      {"true"},
		// The data outlives its instance, whoever terminates it.
		"BlockDeviceMapping.1.Ebs.DeleteOnTermination": {"false"},
	}
	if s.Volume != 0 {
		order.Set("BlockDeviceMapping.1.Ebs.VolumeSize", strconv.Itoa(s.Volume))
	}
	if s.Profile != "" {
		order.Set("IamInstanceProfile.Name", s.Profile)
	}
	numbered(order, "SecurityGroupId", s.SecurityGroups)
	for n, what := range []string{"instance", "volume", "network-interface"} {
		prefix := "TagSpecification." + strconv.Itoa(n+1)
		order.Set(prefix+".ResourceType", what)
		setTags(order, prefix+".", p.tags(name, token))
	}
	return order, nil
}

// subnet is the one with the fewest instances of the cluster, the first of several:
// so a new instance goes where one was lost. Launches that are under way count.
func (p *Provider) subnet(name cluster.MemberName) string {
	p.choosing.Lock()
	defer p.choosing.Unlock()
	p.mu.Lock()
	seen := p.seen
	p.mu.Unlock()
	count := map[string]int{}
	for _, i := range seen {
		if i.State != terminated && i.member() != name {
			count[i.Subnet]++
			delete(p.chosen, i.member())
		}
	}
	for other, subnet := range p.chosen {
		if other != name {
			count[subnet]++
		}
	}
	p.chosen[name] = slices.MinFunc(p.spec().Subnets, func(a, b string) int { return count[a] - count[b] })
	return p.chosen[name]
}

// rootDevice is the name of the volume that instances of the image boot from.
func (p *Provider) rootDevice(ctx context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.device != "" {
		return p.device, nil
	}
	var err error
	p.device, err = p.api.rootDevice(ctx, p.spec().Image)
	return p.device, err
}

// isCode says whether EC2 refused a call with a code.
func isCode(err error, codes ...string) bool {
	var r *refusal
	return errors.As(err, &r) && slices.Contains(codes, r.Code)
}
