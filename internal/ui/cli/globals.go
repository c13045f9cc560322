package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

// globals are the flags of every command.
type globals struct {
	flags    spec.Flags // what is wanted
	stateDir string
	output   string
	verbose  bool
	timeout  time.Duration
	command  string   // the one that runs
	own      []string // its own flags that were given, but for --yes
	opened   []func() error
	text     []byte // of the spec file, once it has been read
}

// close ends the connections to machines that were opened for a command.
func (g *globals) close() error {
	var errs []error
	for _, closed := range g.opened {
		errs = append(errs, closed())
	}
	return errors.Join(errs...)
}

func (g *globals) register(root *cobra.Command, s *System) {
	f := root.PersistentFlags()
	f.StringVarP(&g.flags.File, "file", "f", "", "spec file; cannot be combined with flags that describe a cluster (see pleiad init)")
	f.Var(optionalText{&g.flags.Cluster}, "cluster", "name of the cluster (default dev)")
	f.Var(optionalText{&g.flags.Domain}, "domain", "discovery domain (default CLUSTER.test)")
	f.Var(optionalNumber{&g.flags.Members}, "members", "number of voters: 1, 3, 5, 7 or 9 (default 3)")
	f.Var(optionalText{&g.flags.TLS}, "tls", "auto or off (default auto)")
	f.StringVar(&g.stateDir, "state-dir", "", "folder with the state of all clusters (default $XDG_STATE_HOME/pleiad, else ~/.local/state/pleiad)")
	f.StringVar(&g.output, "output", string(render.Text), "text or json")
	f.BoolVarP(&g.verbose, "verbose", "v", false, "print every outside call to stderr")
	f.DurationVar(&g.timeout, "timeout", 0, "how long to wait without progress, or for another pleiad (default 1m, with remote machines 3m)")
	_ = root.RegisterFlagCompletionFunc("cluster", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return g.clusters(s), cobra.ShellCompDirectiveNoFileComp
	})
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	_ = root.RegisterFlagCompletionFunc("tls", cobra.FixedCompletions([]string{"auto", "off"}, cobra.ShellCompDirectiveNoFileComp))
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		g.command, g.own = cmd.Name(), ownFlags(cmd)
		return g.check(cmd)
	}
}

// check finds wrong values that no single command would notice first.
func (g *globals) check(cmd *cobra.Command) error {
	wrong := func(format string, args ...any) error {
		return &failure{act: "run " + cmd.CommandPath(), err: fmt.Errorf(format, args...), exit: Usage, hints: []string{cmd.CommandPath() + " --help"}}
	}
	switch {
	case g.output != string(render.Text) && g.output != string(render.JSON):
		output := g.output
		g.output = string(render.Text)
		return wrong("--output %s: expected text or json", output)
	case g.timeout < 0 || g.timeout == 0 && cmd.Flags().Changed("timeout"):
		return wrong("--timeout %s: expected a positive duration, such as 1m", g.timeout)
	}
	return nil
}

func (g *globals) format() render.Format {
	if g.output == string(render.JSON) {
		return render.JSON
	}
	return render.Text
}

// printer prints what was asked for.
func (g *globals) printer(s *System) render.Printer {
	screen := render.Screen{W: s.raw.out}
	if s.Size != nil {
		screen.Color = s.Env("NO_COLOR") == "" && s.Env("TERM") != "dumb"
		if s.Env("TERM") != "dumb" && !g.verbose { // what -v prints would tear a picture apart
			screen.Size = s.Size
		}
	}
	return render.Printer{Format: g.format(), Screen: screen}
}

// optionalText is a flag that knows whether it was given.
type optionalText struct{ to **string }

var _ pflag.Value = optionalText{}

// String implements pflag.Value; no default is shown.
func (o optionalText) String() string { return "" }

// Set implements pflag.Value.
func (o optionalText) Set(v string) error { *o.to = &v; return nil }

// Type implements pflag.Value.
func (o optionalText) Type() string { return "string" }

// optionalNumber is the same for numbers.
type optionalNumber struct{ to **int }

var _ pflag.Value = optionalNumber{}

// String implements pflag.Value; no default is shown.
func (o optionalNumber) String() string { return "" }

// Set implements pflag.Value.
func (o optionalNumber) Set(v string) error {
	var n int
	if _, err := fmt.Sscanf(v+"\n", "%d\n", &n); err != nil {
		return errors.New("expected a number")
	}
	*o.to = &n
	return nil
}

// Type implements pflag.Value.
func (o optionalNumber) Type() string { return "number" }
