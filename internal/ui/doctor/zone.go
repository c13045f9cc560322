package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
)

func keyFile(_ context.Context, s Subject) render.Finding {
	return secretFile("key file", s.Spec.ZoneKeyFile(), "put the TSIG key there, or name another dns.rfc2136.keyFile")
}

// secretFile looks who may read a key or token: whoever can may change the zone. A
// group may, since name servers read theirs that way.
func secretFile(check, path, otherwise string) render.Finding {
	out := render.Finding{Check: check, Grade: render.Fine}
	info, err := os.Stat(path)
	if err != nil {
		return broken(check, err, otherwise)
	}
	mode := info.Mode().Perm()
	out.Found = fmt.Sprintf("%s has mode %04o", path, mode)
	if mode&0o037 != 0 && runtime.GOOS != "windows" { // which has no such modes
		out.Grade = render.Warning
		out.Found += ": others may read or change it"
		out.Remedy = "chmod 0600 " + shell.Quote(path)
	}
	return out
}

// rights asks what the key may change: first whether it is taken at all, then
// whether it may change each kind of our names, and nothing else.
func rights(ctx context.Context, s Subject) []render.Finding {
	accepted := keyAccepted(ctx, s)
	if accepted.Grade != render.Fine {
		return []render.Finding{accepted}
	}
	var enough, excess render.Finding
	var both sync.WaitGroup
	both.Go(func() { enough = updateRight(ctx, s) })
	both.Go(func() { excess = excessRights(ctx, s) })
	both.Wait()
	return []render.Finding{accepted, enough, excess}
}

// keyAccepted tries to change the marker, signed. A server that refuses the key
// says so; that the condition fails says that it was looked at, and so that the
// key was taken.
func keyAccepted(ctx context.Context, s Subject) render.Finding {
	out := render.Finding{Check: "TSIG key", Grade: render.Fine, Found: "accepted; an update that changes nothing was tried"}
	err := s.Try(ctx, marker(s))
	switch {
	case err == nil:
	case errors.Is(err, dns.ErrUnreachable):
		out.Grade, out.Found, out.Remedy = render.Broken, "unknown: "+err.Error(), remedyOf(err, "make the name server reachable first")
	case errors.Is(err, dns.ErrUnconditional):
		out.Grade, out.Found, out.Remedy = render.Broken, err.Error(), "use a server that checks the prerequisites of RFC 2136"
	default:
		out.Grade, out.Found = render.Broken, err.Error()
		out.Remedy = remedyOf(err, "let the key "+s.Spec.ZoneKeyFile()+" update the zone (BIND: allow-update or update-policy), and compare the clocks")
	}
	return out
}

// remedyOf is what an error says against itself, a line each, or else.
func remedyOf(err error, otherwise string) string {
	if known := fault.Remedy(err); len(known) > 0 {
		return strings.Join(known, "\n")
	}
	return otherwise
}

// ours are a key of each kind that up changes, beside the marker. The member is
// one that never was.
func ours(s Subject) []cluster.Key {
	keys := []cluster.Key{{Name: s.Spec.ServerService(), Type: cluster.SRV}, {Name: s.Spec.ClientService(), Type: cluster.SRV}}
	name := s.Spec.HostName("etcd-zzzzzzz") + "."
	if !s.Spec.OnMachines() || s.Spec.MakesMachines() { // an instance has a private IPv4 address
		return append(keys, cluster.Key{Name: name, Type: cluster.A})
	}
	var v4, v6 bool
	for _, a := range s.Spec.Machines() {
		v4, v6 = v4 || a.Unmap().Is4(), v6 || !a.Unmap().Is4()
	}
	if v4 {
		keys = append(keys, cluster.Key{Name: name, Type: cluster.A})
	}
	if v6 {
		keys = append(keys, cluster.Key{Name: name, Type: cluster.AAAA})
	}
	return keys
}

// updateRight tries every kind of our names: a grant may know only some.
func updateRight(ctx context.Context, s Subject) render.Finding {
	out := render.Finding{Check: "update right", Grade: render.Fine, Found: "the key may change the cluster's marker, services and addresses"}
	denied, err := tried(ctx, s, ours(s))
	switch {
	case err != nil:
		out.Grade, out.Found, out.Remedy = render.Broken, "unknown: "+err.Error(), remedyOf(err, "run the command again")
	case len(denied) > 0:
		out.Grade, out.Found = render.Broken, "the key may not change "+list(denied)
		out.Remedy = "grant it to the key, as docs/dns-bind.md, dns-knot.md and dns-powerdns.md show: update-policy in BIND, acl in Knot"
	}
	return out
}

// outside are names that are never ours.
func outside(s Subject) []cluster.Key {
	zone := s.Spec.Zone() + "."
	return []cluster.Key{{Name: "pleiad-doctor." + zone, Type: cluster.TXT}, {Name: "_pleiad-doctor._tcp." + zone, Type: cluster.SRV}, {Name: zone, Type: cluster.A}}
}

// excessRights tries names that are not ours: whoever steals the key could do
// as much.
func excessRights(ctx context.Context, s Subject) render.Finding {
	out := render.Finding{Check: "excess rights", Grade: render.Fine, Found: "the key may change no other names of the zone, as far as tested"}
	keys := outside(s)
	denied, err := tried(ctx, s, keys)
	switch {
	case err != nil:
		out.Grade, out.Found, out.Remedy = render.Warning, "unknown: "+err.Error(), remedyOf(err, "run the command again")
	case len(denied) < len(keys):
		out.Grade = render.Warning
		out.Found = "the key may change other names of the zone too: " + list(without(keys, denied)) + " was not refused"
		out.Remedy = "grant it the cluster's names alone, as docs/dns-bind.md and dns-knot.md show; PowerDNS has no such grants: give the cluster a zone of its own"
	}
	return out
}

// tried are the keys that the server does not let us change, or why that is not
// known.
func tried(ctx context.Context, s Subject, keys []cluster.Key) (denied []cluster.Key, err error) {
	answers := make([]error, len(keys))
	var all sync.WaitGroup
	for i, k := range keys {
		all.Go(func() { answers[i] = s.Try(ctx, k) })
	}
	all.Wait()
	for i, k := range keys {
		switch {
		case errors.Is(answers[i], dns.ErrDenied):
			denied = append(denied, k)
		case answers[i] != nil:
			return nil, answers[i]
		}
	}
	return denied, nil
}

func without(keys, less []cluster.Key) []cluster.Key {
	var out []cluster.Key
	for _, k := range keys {
		gone := false
		for _, l := range less {
			gone = gone || k == l
		}
		if !gone {
			out = append(out, k)
		}
	}
	return out
}

func list(keys []cluster.Key) string {
	var out []string
	for _, k := range keys {
		out = append(out, k.Name+" "+string(k.Type))
	}
	return strings.Join(out, ", ")
}

// nameServers asks every authoritative server of the zone whether it shows what
// the primary shows. These questions plant nothing in a resolver.
func nameServers(ctx context.Context, s Subject) []render.Finding {
	if s.Authoritatives == nil { // there is no way to them, which another finding says
		return nil
	}
	keys := []cluster.Key{marker(s), {Name: s.Spec.ServerService(), Type: cluster.SRV}, {Name: s.Spec.ClientService(), Type: cluster.SRV}}
	want, err := s.World.DNS.Read(ctx, keys)
	if err != nil {
		return nil // a finding of its own
	}
	v, err := s.Authoritatives.Compare(ctx, keys, want)
	if err != nil {
		return []render.Finding{{Check: "authoritatives", Grade: render.Warning, Found: err.Error(),
			Remedy: remedyOf(err, "let the primary answer unsigned queries from here, with the zone's NS records and their addresses among them")}}
	}
	out := []render.Finding{agreement(v)}
	for _, note := range v.Notes {
		out = append(out, render.Finding{Check: "delegation", Grade: render.Warning, Found: note,
			Remedy: "compare the zone's NS records with those of its parent; if that is intended, there is nothing to do"})
	}
	return out
}

func agreement(v cluster.Visibility) render.Finding {
	var names []string
	for _, server := range v.Servers {
		names = append(names, fmt.Sprintf("%s (%s)", strings.TrimSuffix(server.Name, "."), server.Address))
	}
	out := render.Finding{Check: "authoritatives", Grade: render.Fine, Found: "all name servers of the zone agree: " + strings.Join(names, ", ")}
	var wrong []string
	for _, server := range v.Unknown() {
		wrong = append(wrong, fmt.Sprintf("%s (%s) cannot be asked: %s", strings.TrimSuffix(server.Name, "."), server.Address, server.Unknown))
		out.Remedy = "let it answer over TCP, or remove it from the zone's NS records: resolvers that ask it see no members"
	}
	for _, server := range v.Behind() {
		wrong = append(wrong, fmt.Sprintf("%s (%s): %s", strings.TrimSuffix(server.Name, "."), server.Address, strings.Join(server.Behind, ", ")))
		out.Remedy = "let the primary notify its secondaries, and them transfer the zone; see the SOA serials, with: dig +nssearch"
	}
	if len(wrong) > 0 {
		out.Grade, out.Found = render.Warning, strings.Join(wrong, "; ")
	}
	return out
}
