package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

// addresses looks for as many free addresses as hosts are still to be made.
func addresses(ctx context.Context, s Subject) render.Finding {
	out := render.Finding{Check: "addresses", Grade: render.Fine}
	list, err := s.World.Hosts.List(ctx)
	if err != nil {
		out.Grade, out.Found, out.Remedy = render.Broken, err.Error(), "make the hosts of this cluster readable"
		return out
	}
	want := s.Spec.Members - len(list.Hosts)
	if want <= 0 {
		out.Found = fmt.Sprintf("all %d hosts have theirs", len(list.Hosts))
		return out
	}
	free, busy := 0, 0
	var first netip.Addr
	for a := s.Block.Addr().Next().Next(); s.Block.Contains(a) && free < want; a = a.Next() { // the first is the name server's
		switch err := bindable(ctx, a, cluster.StandardPorts()); {
		case err == nil && free == 0:
			first, free = a, 1
		case err == nil:
			free++
		case errors.Is(err, syscall.EADDRINUSE):
			busy++
		default:
			return sharedAddress(out, s.Block, err)
		}
	}
	out.Found = fmt.Sprintf("%d of %d needed are free in %s, from %s; ports 2379 to 2381", free, want, s.Block, first)
	if free < want {
		out.Grade, out.Found = render.Warning, fmt.Sprintf("%d of %d needed are free in %s, %d are taken", free, want, s.Block, busy)
		out.Remedy = "something listens on etcd's ports on every address; members get other ports: see ss -lntp"
	}
	return out
}

// sharedAddress is what is found where the block does not exist, as on macOS.
func sharedAddress(out render.Finding, block netip.Prefix, err error) render.Finding {
	out.Found = fmt.Sprintf("%s is not on this machine (%v): members share 127.0.0.1, each with ports of its own", block, err)
	return out
}

// bindable says why the ports of a member cannot be bound at an address.
func bindable(ctx context.Context, a netip.Addr, ports cluster.Ports) error {
	for _, port := range []uint16{ports.Peer, ports.Client, ports.Metrics} {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", netip.AddrPortFrom(a, port).String())
		if err != nil {
			return err
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

// damagedServer is what to do about a name server whose folder cannot be read: as
// long as it lies there nothing is known of the records, and destroy refuses too.
const damagedServer = "make its folder readable, or restore it from a backup; without one, move it away, stop the name server (see ss -lntup), and start over: "

// embeddedAddress looks whether the name server runs or could.
func embeddedAddress(ctx context.Context, s Subject) render.Finding {
	out := render.Finding{Check: "name server", Grade: render.Fine}
	status, err := s.World.Server.Status(ctx)
	switch {
	case err != nil:
		out.Grade, out.Found, out.Remedy = render.Broken, err.Error(), damagedServer+s.Command("destroy")
		return out
	case status.Copy != "":
		out.Grade, out.Found, out.Remedy = render.Broken, status.Copy, "put the original folder back, or make this one take its place: "+s.Command("take-over")
		return out
	case status.Running:
		out.Found = "the embedded one runs at " + status.Address
		return out
	}
	address := s.Server
	if status.Address == "" && address.Addr() == netip.AddrFrom4([4]byte{127, 0, 0, 1}) { // shared with other clusters
		out.Found = "the embedded one takes a free port of 127.0.0.1"
		return out
	}
	if status.Address != "" {
		if address, err = netip.ParseAddrPort(status.Address); err != nil {
			out.Grade, out.Found, out.Remedy = render.Broken, err.Error(), damagedServer+s.Command("destroy")
			return out
		}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address.String())
	if err == nil {
		err = l.Close()
	}
	out.Found = fmt.Sprintf("the embedded one can listen at %s", address)
	if err != nil {
		out.Grade, out.Found = render.Broken, err.Error()
		out.Remedy = "stop what listens there, see ss -lntup; or use another cluster name: --cluster NAME"
	}
	return out
}

// marker is the key that every check of a zone asks about.
func marker(s Subject) cluster.Key {
	return s.Spec.MarkerKey()
}

// nameServerAnswers reads through the provider, as the loop does.
func nameServerAnswers(ctx context.Context, s Subject) render.Finding {
	server := s.Spec.Primary()
	out := render.Finding{Check: "name server", Grade: render.Fine, Found: server + " answers for zone " + s.Spec.Zone()}
	if _, err := s.World.DNS.Read(ctx, []cluster.Key{marker(s)}); err != nil {
		out.Grade, out.Found = render.Broken, err.Error()
		out.Remedy = remedyOf(err, "see whether it is the primary of the zone: dig @"+hostOf(server)+" "+s.Spec.Zone()+" SOA")
	}
	return out
}

// resolverAnswers asks as members on this machine will: over UDP, without a
// key. Members elsewhere have resolvers of their own, which must not be asked
// for a name of ours too early.
func resolverAnswers(ctx context.Context, s Subject) render.Finding {
	out := render.Finding{Check: "resolver", Grade: render.Fine, Found: "members' queries are answered"}
	opts := lookups(s)
	_, err := discovery.Lookup(ctx, s.Spec.Domain, opts...)
	if err != nil && !errors.Is(err, discovery.ErrNotFound) && !errors.Is(err, discovery.ErrMixed) {
		out.Grade, out.Found = render.Broken, err.Error()
		out.Remedy = "let the name server answer queries about " + s.Spec.Domain + " from this machine, over UDP too"
	}
	return out
}

func lookups(s Subject) []discovery.Option {
	opts := []discovery.Option{discovery.WithServiceName(s.Spec.DiscoveryName)}
	if s.Resolver != "" {
		opts = append(opts, discovery.WithResolver(discovery.NameServer(s.Resolver)))
	}
	return opts
}

// hostOf is a server as dig wants it.
func hostOf(server string) string {
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		return server
	}
	if n, _ := strconv.Atoi(port); n != 53 {
		return host + " -p " + port
	}
	return host
}
