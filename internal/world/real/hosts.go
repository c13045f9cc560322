package real

import (
	"context"
	"errors"
	"io"
	"net/netip"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	localdelivery "github.com/pleiad-etcd/pleiad/internal/world/deliver/local"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/systemd"
	localhosts "github.com/pleiad-etcd/pleiad/internal/world/hosts/local"
	sshhosts "github.com/pleiad-etcd/pleiad/internal/world/hosts/ssh"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

func withLocalHosts(spec cluster.Spec, h *statedir.Home, self string, w *World) error {
	hosts, err := localhosts.New(h.Dir(), spec.Cluster)
	if err != nil {
		return err
	}
	deliverer := localdelivery.New(func(config string) []string { return []string{self, "member", "--dir", config} })
	w.World.Hosts, w.World.Deliver = hosts, deliverer
	w.Block = localhosts.Block(h.Dir(), spec.Cluster, 0)
	w.Logs, w.Sweep = deliverer.Logs, hosts.Sweep
	w.TakeOver = hosts.TakeOver
	w.Living = func(ctx context.Context) (map[int]string, error) {
		members, err := hosts.Living(ctx)
		out := map[int]string{}
		for name, pid := range members {
			out[pid] = "member " + string(name)
		}
		return out, err
	}
	return nil
}

func withMachines(spec cluster.Spec, self string, trace Trace, w *World) {
	c := spec.Hosts.SSH
	pool := sshexec.New(sshexec.Config{User: c.User, Port: c.Port, IdentityFile: c.IdentityFile, KnownHosts: c.KnownHosts,
		Fingerprints: c.Fingerprints, Trace: trace})
	deliverer := systemd.New(func(way cluster.Way) systemd.Machine { return machine{pool.Vouched(way.Address, way.Vouched)} }, systemd.NewBuilds(self, c.Binaries))
	w.World.Deliver = deliverer
	w.World.Hosts = sshhosts.New(sshhosts.Config{
		Spec:    spec,
		Machine: func(a netip.Addr) sshhosts.Machine { return machine{pool.Machine(a)} },
		Fits:    deliverer.Fits,
		Clear:   deliverer.Clear,
	})
	w.Logs, w.Probe = deliverer.Logs, deliverer.Probe
	w.Sweep = func(context.Context) error { return nil } // a machine is left as it was, or its claim stays
	w.Close = func() error { return errors.Join(deliverer.Close(), pool.Close()) }
}

// machine is one over SSH, whose sessions are streams.
type machine struct{ *sshexec.Machine }

func (m machine) Open(ctx context.Context, command string) (io.ReadWriteCloser, error) {
	return m.Machine.Open(ctx, command)
}
