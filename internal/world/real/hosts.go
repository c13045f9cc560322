package real

import (
	"context"
	"errors"
	"io"
	"net/netip"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/program"
	"github.com/pleiad-etcd/pleiad/internal/world/amazon"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/chef"
	localdelivery "github.com/pleiad-etcd/pleiad/internal/world/deliver/local"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/systemd"
	"github.com/pleiad-etcd/pleiad/internal/world/hostkeys"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2"
	localhosts "github.com/pleiad-etcd/pleiad/internal/world/hosts/local"
	sshhosts "github.com/pleiad-etcd/pleiad/internal/world/hosts/ssh"
	"github.com/pleiad-etcd/pleiad/internal/world/sshexec"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// The sections of the spec that say how machines are reached, for remedies.
const (
	sectionSSH = "hosts.ssh"
	sectionEC2 = "hosts.ec2"
)

func withLocalHosts(spec cluster.Spec, h *statedir.Home, self string, w *World) error {
	hosts, err := localhosts.New(h.Dir(), spec.Cluster)
	if err != nil {
		return err
	}
	runs, err := program.Self()
	if err != nil {
		return err
	}
	deliverer := localdelivery.New(func(config string) []string { return []string{self, "member", "--dir", config} }, runs)
	w.World.Hosts, w.World.Deliver = hosts, deliverer
	w.Block = localhosts.Block(h.Dir(), spec.Cluster, 0)
	w.Logs = deliverer.Logs
	w.Sweep = func(ctx context.Context, _ bool) error { return hosts.Sweep(ctx) } // of hosts of which that was decided
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
		Fingerprints: c.Fingerprints, Section: sectionSSH, LoginCommand: spec.Login, Trace: trace})
	deliverer := systemd.Through(func(way cluster.Way) systemd.Machine { return machine{pool.Vouched(way.Address, way.Vouched)} },
		systemd.NewBuilds(self, c.Binaries, sectionSSH), laying(spec, chef.Knife{User: c.User, Port: c.Port, IdentityFile: c.IdentityFile, KnownHosts: c.KnownHosts}))
	w.World.Deliver = deliverer
	w.World.Hosts = sshhosts.New(sshhosts.Config{
		Spec:    spec,
		Machine: func(a netip.Addr) sshhosts.Machine { return machine{pool.Machine(a)} },
		Fits:    deliverer.Fits,
		Clear:   deliverer.Clear,
	})
	w.Logs, w.Probe = deliverer.Logs, deliverer.Probe
	w.Sweep = func(context.Context, bool) error { return nil } // a machine is left as it was, or its claim stays
	w.Close = func() error { return errors.Join(deliverer.Close(), pool.Close()) }
}

// laying is who lays nodes down on machines; nil for pleiad itself.
func laying(spec cluster.Spec, knife chef.Knife) systemd.Lay {
	if spec.Chef == nil {
		return nil
	}
	installer := chef.New(*spec.Chef, knife)
	return func(ctx context.Context, m systemd.Machine, h cluster.Host) error {
		return installer.Converge(ctx, m, h)
	}
}

// machine is one over SSH, whose sessions are streams.
type machine struct{ *sshexec.Machine }

func (m machine) Open(ctx context.Context, command string) (io.ReadWriteCloser, error) {
	return m.Machine.Open(ctx, command)
}

// withEC2 reaches instances by keys of their own, which no known_hosts can have.
func withEC2(spec cluster.Spec, stateDir, self string, trace Trace, w *World) error {
	c, keys := spec.Hosts.EC2, hostkeys.In(stateDir)
	pool := sshexec.New(sshexec.Config{User: c.User, Port: c.Port, IdentityFile: c.IdentityFile, Jump: c.Jump, Vouch: keys.Vouch, Section: sectionEC2, LoginCommand: spec.Login, Trace: trace})
	reach := func(way cluster.Way) machine { return machine{pool.Vouched(way.Address, way.Vouched)} }
	deliverer := systemd.Through(func(way cluster.Way) systemd.Machine { return reach(way) }, systemd.NewBuilds(self, c.Binaries, sectionEC2), laying(spec, chef.Knife{}))
	provider, err := ec2.New(ec2.Config{
		Spec:        spec,
		Credentials: amazon.Credentials(c.Region, ""),
		Paths:       node.MachinePaths(),
		FirstKey:    keys.First,
		Contact: func(ctx context.Context, h cluster.Host) error {
			return keys.Replace(ctx, h.Name, reach(h.Reach()))
		},
		Part:  keys.Forget,
		Given: keys.Given,
	})
	if err != nil {
		return err
	}
	w.World.Deliver, w.World.Hosts = deliverer, provider
	w.Logs = deliverer.Logs
	w.Sweep = func(ctx context.Context, keepData bool) error {
		return errors.Join(provider.Sweep(ctx, hosts.DataFate(keepData)), keys.Remove())
	}
	w.Close = func() error { return errors.Join(deliverer.Close(), pool.Close()) }
	return nil
}
