// Command pleiad sets up etcd clusters that are found through DNS SRV records,
// and keeps them right.
//
// This package builds the real world and hands it to the command line in
// internal/ui/cli; it is the only place that knows all providers. The same
// binary is the member that runs on a host, the embedded name server, and
// etcdctl.
package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/etcdctl/v3/ctlv3"
	"golang.org/x/term"

	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/system/sidebyside"
	"github.com/pleiad-etcd/pleiad/internal/ui/cli"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/embedded"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
)

func main() {
	// etcdctl turns this on for everybody who imports it; "pleiad de" must not
	// be taken for destroy.
	cobra.EnablePrefixMatching = false
	// Every library looks names up with this one. Go's own waits for a mute name server
	// longer than pleiad waits for the answer of whoever has the name.
	net.DefaultResolver = &net.Resolver{Dial: sidebyside.Dial(sidebyside.System().Ask)}
	os.Exit(int(cli.Run(system(), os.Args[1:])))
}

func system() *cli.System {
	s := &cli.System{
		Streams: cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Getenv, Interactive: term.IsTerminal(int(os.Stdin.Fd()))},
		Version: release,
		Open:    real.Open,
		Member:  member.Run,
		Watch:   member.Watch,
		Agent: func(ctx context.Context, in io.Reader, out io.Writer) error {
			return agent.Serve(ctx, agent.This(), in, out)
		},
		NameServer: func(ctx context.Context, dir string, stderr io.Writer) error {
			return embedded.Serve(ctx, dir, slog.New(slog.NewTextHandler(stderr, nil)))
		},
		Etcdctl: etcdctl,
	}
	if out := int(os.Stdout.Fd()); term.IsTerminal(out) {
		s.Size = func() (columns, lines int) {
			columns, lines, err := term.GetSize(out)
			if err != nil {
				return 80, 24
			}
			return columns, lines
		}
	}
	return s
}

// etcdctl becomes etcd's own etcdctl. It reads arguments, environment and
// resolver from the process, which is why all three are set here and nowhere
// else. Signals end it as they end the real one. Members are asked directly, whatever
// proxy others are to be reached by.
func etcdctl(args []string, env map[string]string, resolver *net.Resolver) error {
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "ETCDCTL_") || cli.IsProxy(name) {
			if err := os.Unsetenv(name); err != nil {
				return err
			}
		}
	}
	for name, value := range env {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	if resolver != nil {
		net.DefaultResolver = resolver
	}
	cobra.EnablePrefixMatching = true
	os.Args = append([]string{"etcdctl"}, args...)
	ctlv3.MustStart()
	os.Exit(0)
	return nil
}

// release is what is known of the binary itself.
func release() render.Version {
	v := render.Version{Release: "(devel)", Etcd: version.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Release = info.Main.Version
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v.Revision = s.Value + v.Revision
		case s.Key == "vcs.modified" && s.Value == "true":
			v.Revision += "+changes"
		}
	}
	return v
}
