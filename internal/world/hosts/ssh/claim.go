package ssh

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// claimVersion is the version of the claim that we write and read.
const claimVersion = 1

// claim is [node.ClaimFile] on a machine, JSON on one line: whose host it is.
type claim struct {
	Version int          `json:"version"`
	Cluster cluster.Name `json:"cluster"`
	// Domain and DiscoveryName tell clusters of one name apart, which other
	// control sides may have.
	Domain        string             `json:"domain"`
	DiscoveryName string             `json:"discoveryName,omitempty"`
	Token         cluster.Token      `json:"token"`
	Name          cluster.MemberName `json:"name"`
	// Address is the machine's: a copy of its disk is not it.
	Address netip.Addr `json:"address"`
}

// sight is what was seen on one place: a host of ours, or what else it is.
type sight struct {
	host  *cluster.Host
	place cluster.Place
}

// claimed and unclaimed are the first lines of what [look] prints.
const (
	claimed   = "claimed"
	unclaimed = "unclaimed"
)

// look prints whether there is a claim, then the claim or what is in the way of
// making one: anything that listens on etcd's ports (2379 and 2380 in
// hexadecimal, in state 0A, LISTEN), an etcd or its data, what is left of a
// member without its claim. It reads /proc, since a bare machine has no tool for
// it that could be relied on, and starts few processes, since there may be
// thousands to look at.
var look = `if [ -e ` + node.ClaimFile + ` ] || [ -h ` + node.ClaimFile + ` ]; then
  if [ ! -f ` + node.ClaimFile + ` ]; then echo "` + node.ClaimFile + ` is not a regular file" >&2; exit 1; fi
  echo ` + claimed + `
  exec head -c ` + strconv.Itoa(hosts.MaxClaim) + ` ` + node.ClaimFile + `
fi
echo ` + unclaimed + `
grep -hE '^ *[0-9]+: [0-9A-F]+:(094B|094C) [0-9A-F]+:[0-9A-F]+ 0A ' /proc/net/tcp /proc/net/tcp6 2>/dev/null
grep -lx etcd /proc/[0-9]*/comm 2>/dev/null
for path in /var/lib/etcd/default/member /var/lib/etcd/member ` + node.StateFolder + ` ` + node.UnitFile + `; do
  if [ -e $path ] || [ -h $path ]; then echo "there is $path"; fi
done
exit 0
`

// taken says for people what [look] found in the way.
func taken(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch pid, isProcess := strings.CutSuffix(line, "/comm"); {
		case isProcess:
			line = "an etcd runs, process " + path.Base(pid)
		case strings.Contains(line, ":094B "):
			line = "something listens on port 2379"
		case strings.Contains(line, ":094C "):
			line = "something listens on port 2380"
		}
		if line != "" && !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return strings.Join(out, ", ")
}

// lookAt says what is on one place.
func (p *Provider) lookAt(ctx context.Context, addr netip.Addr) sight {
	out, err := p.Machine(addr).Look(ctx, look)
	if err != nil {
		remedy := fault.Remedy(err)
		if remedy == nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			remedy = slow(p.Spec, addr)
		}
		return sight{place: cluster.Place{Address: addr, Unknown: err.Error(), Remedy: remedy, Lasting: fault.Lasting(err)}}
	}
	return p.read(addr, string(out))
}

// slow tells how to find out what takes a machine so long.
func slow(spec cluster.Spec, addr netip.Addr) []string {
	login, asRoot := shell.Line(spec.Login(addr)...), shell.Line(spec.LoginAsRoot(addr)...)
	remedy := []string{"see how long a login takes: time " + login + " true"}
	if asRoot != login {
		remedy = append(remedy, "see how long sudo takes: time "+asRoot+" true",
			"where sudo alone is slow: put the machine's own name into its /etc/hosts, or fix its name server")
	}
	return remedy
}

// read understands what [look] printed. A claim that cannot be understood may be
// this cluster's: what is there is unknown, and not somebody else's.
func (p *Provider) read(addr netip.Addr, text string) sight {
	first, rest, _ := strings.Cut(text, "\n")
	switch first {
	case unclaimed:
		return sight{place: cluster.Place{Address: addr, Taken: taken(rest)}}
	case claimed:
	default:
		return p.unreadable(addr, fmt.Sprintf("looking for a claim printed %q", brief(text)))
	}
	var c claim
	switch err := json.Unmarshal([]byte(rest), &c); {
	case strings.TrimSpace(rest) == "":
		return p.unreadable(addr, node.ClaimFile+" is empty")
	case err != nil:
		return p.unreadable(addr, fmt.Sprintf("%s is not a claim: %v", node.ClaimFile, err))
	case c.Version != claimVersion:
		return p.unreadable(addr, fmt.Sprintf("%s has version %d, this pleiad reads version %d", node.ClaimFile, c.Version, claimVersion))
	case c.Cluster == "" || c.Domain == "" || c.Name == "" || c.Token == "" || !c.Address.IsValid():
		return p.unreadable(addr, node.ClaimFile+" is not complete")
	case c.Cluster != p.Spec.Cluster || c.Domain != p.Spec.Domain || c.DiscoveryName != p.Spec.DiscoveryName:
		return sight{place: cluster.Place{Address: addr, Taken: fmt.Sprintf("it is host %s of cluster %s on %s", c.Name, c.Cluster, c.Domain)}}
	case c.Address != addr:
		return sight{place: cluster.Place{Address: addr, Taken: fmt.Sprintf("its %s is that of %s at %s: a copy of that machine's disk", node.ClaimFile, c.Name, c.Address)}}
	}
	return sight{host: &cluster.Host{Name: c.Name, Address: addr, Ports: cluster.StandardPorts(), Token: c.Token, Paths: node.MachinePaths()}}
}

// unreadable is a place whose claim says nothing, with how to put it right.
func (p *Provider) unreadable(addr netip.Addr, why string) sight {
	again, err := json.Marshal(claim{Version: claimVersion, Cluster: p.Spec.Cluster, Domain: p.Spec.Domain, DiscoveryName: p.Spec.DiscoveryName,
		Token: "TOKEN", Name: "NAME", Address: addr})
	if err != nil {
		why += "; " + err.Error()
	}
	return sight{place: cluster.Place{Address: addr, Unknown: why, Lasting: true, Remedy: []string{
		fmt.Sprintf("on %s, if %s was written by a newer pleiad: use that one", addr, node.ClaimFile),
		fmt.Sprintf("if the machine has a member of this cluster: write the claim again, with the token and the name in %s/%s:", node.MachinePaths().Config, node.FileName),
		fmt.Sprintf("echo '%s' >%s", again, node.ClaimFile),
		fmt.Sprintf("if nothing of etcd is on the machine: rm %s", node.ClaimFile)}}}
}

// brief is the beginning of what was printed.
func brief(text string) string { return text[:min(len(text), 80)] }

// errClaimed says that a place has a claim already.
var errClaimed = errors.New("it has a claim already")

// claim makes the claim where there is none, whole and durably: link(2) fails
// if the name exists, and is all that is needed to be alone. It prints whether it
// was made, and fails where the link did for another reason.
func (p *Provider) claim(ctx context.Context, addr netip.Addr, name cluster.MemberName, token cluster.Token) (cluster.Host, error) {
	c := claim{Version: claimVersion, Cluster: p.Spec.Cluster, Domain: p.Spec.Domain, DiscoveryName: p.Spec.DiscoveryName,
		Token: token, Name: name, Address: addr}
	b, err := json.Marshal(c)
	if err != nil {
		return cluster.Host{}, err
	}
	command := fmt.Sprintf(`set -e
umask 022
mkdir -p %[1]s
new=%[1]s/.claim.$$
trap 'rm -f $new' EXIT
cat >$new
sync $new
if ! ln $new %[2]s; then
  if [ -e %[2]s ] || [ -h %[2]s ]; then echo %[3]s; exit 0; fi
  exit 1
fi
sync %[1]s
echo %[4]s`, node.ClaimFolder, node.ClaimFile, claimed, made)
	out, err := p.Machine(addr).Run(ctx, command, bytes.NewReader(append(b, '\n')))
	switch answer := strings.TrimSpace(string(out)); {
	case err != nil:
		return cluster.Host{}, fmt.Errorf("claim %s: %w", addr, err)
	case answer == claimed:
		return cluster.Host{}, fmt.Errorf("claim %s: %w", addr, errClaimed)
	case answer != made:
		return cluster.Host{}, fmt.Errorf("claim %s: making the claim printed %q", addr, brief(answer))
	}
	return cluster.Host{Name: name, Address: addr, Ports: cluster.StandardPorts(), Token: token, Paths: node.MachinePaths()}, nil
}

// made is what making a claim prints where it was made.
const made = "made"

// release removes pleiad's binaries and, last, the claim, if it is still this
// host's.
func (p *Provider) release(ctx context.Context, h cluster.Host) error {
	command := fmt.Sprintf(`set -e
if [ ! -e %[2]s ] && [ ! -h %[2]s ]; then exit 0; fi
if ! grep -qF '"name":"%[4]s"' %[2]s; then echo "%[2]s is no longer that of %[4]s" >&2; exit 1; fi
rm -rf %[3]s %[1]s/.claim.*
rm -f %[2]s
rmdir %[1]s 2>/dev/null || true
sync %[5]s`, node.ClaimFolder, node.ClaimFile, node.BinaryFolder, h.Name, "/etc")
	if _, err := p.Machine(h.Address).Run(ctx, command, nil); err != nil {
		return fmt.Errorf("release %s: %w", h.Address, err)
	}
	return nil
}
