// Package cli is the command line: one file per command. It is between the
// person and package operate: it turns arguments into a spec and a world, has the
// words for what is asked and for what went wrong, and hands what operations,
// discovery and the providers return to package render.
//
// [Run] is the one function; cmd/pleiad calls it with a [System], which holds
// all that differs between this machine and a test. Each command is an options
// struct, a newCmd that reads flags into it, and a run method that does the
// work, so that flags and work are tested apart.
//
// Rules of speech: stdout is what was asked for, stderr the rest. An error is
// one line that begins with "pleiad: cannot", then hints with the command to
// type. Whatever goes wrong becomes text and exit code in one function,
// explain; nothing in here ends the process.
//
// The text is plain technical English, for somebody who was woken up by it:
// short sentences, ordinary word order, *if* for a condition, and the words of
// docs/ARCHITECTURE.md, each with its one meaning. For example:
//
//	not                                  but
//	name server does not run             name server is not running
//	2 of 3 healthy, 1 not seen           2 of 3 healthy, 1 unknown
//	"8GB" is no whole number             "8GB" is not a whole number
//	nothing has moved for 1m0s           no progress for 1m0s
//	end it: kill 77                      stop it: kill 77
//	let one of these keys in: …          authorize one of these keys: …
//	say it again, with what it had: …    give it again, with the values it had: …
package cli

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/ui/foreign"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/real"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// System is what the commands need from outside of them.
type System struct {
	Streams
	// Version says what this binary is.
	Version func() render.Version
	// real.World makes the world of a cluster: the providers that its spec
	// names. It asks nobody and makes nothing. trace, if not nil, is called
	// with every call to a machine that has ended.
	Open func(ctx context.Context, spec cluster.Spec, h *statedir.Home, trace real.Trace) (real.World, error)
	// Member makes this process the member of a host, which runs an etcd of its
	// own or, if program is not empty, that one; it does not return if that
	// succeeds.
	Member func(ctx context.Context, dir, program string, stderr io.Writer) error
	// Watch is the second process of a member that runs another program's etcd,
	// for as long as its parent runs.
	Watch func(ctx context.Context, dir string, parent int, stderr io.Writer) error
	// Agent does what a controller elsewhere asks for, until in ends.
	Agent func(ctx context.Context, in io.Reader, out io.Writer) error
	// NameServer serves DNS from a folder until ctx ends.
	NameServer func(ctx context.Context, dir string, stderr io.Writer) error
	// Etcdctl makes this process etcdctl with an environment for it and a
	// resolver, nil for the system's; it does not return if that succeeds.
	Etcdctl func(args []string, env map[string]string, resolver *net.Resolver) error
}

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// Interactive says that a person can answer at In.
	Interactive bool
	// raw is where package render and the agent's protocol write; whatever else
	// is written to Out and Err cannot steer a terminal.
	raw struct{ out, err io.Writer }
	// Size returns columns and lines of the terminal that Out is; nil if it is
	// none.
	Size func() (columns, lines int)
	Env  func(name string) string
}

// Run runs one command line and returns the exit code.
func Run(s *System, args []string) Exit {
	// A signal ends what is being done in order; a second one ends it at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, s, args)
}

func run(ctx context.Context, s *System, args []string) Exit {
	g := &globals{}
	s = s.shielded()
	root := newRoot(s, g)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if closing := g.close(); err == nil && closing != nil {
		err = cannot("close the connections to machines", closing)
	}
	if err == nil {
		return OK
	}
	var quiet quietExit
	if errors.As(err, &quiet) {
		return Exit(quiet)
	}
	fault := explain(ctx, g, err)
	p := render.Printer{Format: g.format(), Screen: render.Screen{W: s.raw.err}}
	_ = p.Show(fault) // there is nobody left to tell
	return Exit(fault.Exit)
}

// shielded is the same system, where all that is printed is harmless, whoever
// wrote it.
func (s *System) shielded() *System {
	shielded := *s
	shielded.raw.out, shielded.raw.err = s.Out, s.Err
	shielded.Out, shielded.Err = foreign.Writer(s.Out), foreign.Writer(s.Err)
	return &shielded
}

// quietExit ends a command whose output has already said it all.
type quietExit Exit

// Error implements error.
func (q quietExit) Error() string { return "exit " + Exit(q).String() }

func newRoot(s *System, g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:                        "pleiad",
		Short:                      "Set up and maintain etcd clusters that are found through DNS SRV records",
		Long:                       "pleiad sets up and maintains etcd clusters that are found through DNS SRV\nrecords. Without a spec file it makes a cluster on this machine:\n\n  pleiad up",
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
		SilenceUsage:               true,
		Args:                       cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &failure{act: "run " + cmd.CommandPath(), err: err, exit: Usage, hints: []string{cmd.CommandPath() + " --help"}}
	})
	g.register(root, s)
	root.AddCommand(
		newUp(s, g, nil), newPlan(s, g, nil), newStatus(s, g, nil), newHealth(s, g, nil), newReplace(s, g, nil), newDestroy(s, g, nil),
		newDiscover(s, g, nil), newEtcdctl(s, g, nil), newEnv(s, g, nil), newCertificate(s, g, nil), newLogs(s, g, nil), newDoctor(s, g, nil), newTakeOver(s, g, nil),
		newInit(s, g, nil), newSchema(s), newVersion(s, g),
		newMember(s), newAgent(s), newNameServer(s), helpExitCodes(), helpJSON(),
	)
	return root
}

// unknownCommand is what cobra would say, in our manner.
func unknownCommand(root *cobra.Command, name string) error {
	f := &failure{act: "run " + name, err: errors.New("there is no such command"), exit: Usage, hints: []string{"pleiad --help"}}
	if instead := instead(name); instead != "" {
		f.err, f.hints = errors.New("this version has no such command"), []string{instead}
	}
	for _, suggestion := range root.SuggestionsFor(name) {
		f.hints = append(f.hints, "did you mean: pleiad "+suggestion)
	}
	return f
}

// instead is how to do what a word stands for that people try, and that is no command;
// empty if nobody knows.
func instead(name string) string {
	switch name {
	case "backup", "save", "snapshot":
		return "a snapshot of the data: pleiad etcdctl -- snapshot save FILE"
	case "restore":
		return "a snapshot is restored with etcdutl, by hand"
	case "upgrade", "rollback", "restart":
		return "members are restarted, one at a time, by up with another pleiad or other options: pleiad up"
	case "create", "apply", "start", "scale", "grow", "shrink", "add", "remove", "repair":
		return "the members follow the spec: pleiad up"
	case "delete":
		return "take the cluster down: pleiad destroy"
	}
	return ""
}

// noArgs refuses arguments in our manner.
func noArgs(cmd *cobra.Command, args []string) error { return exactly(0, "")(cmd, args) }

// exactly wants n arguments.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		why := errors.New("it takes no arguments, but got " + args0(args))
		if n > 0 {
			why = errors.New("it takes " + what)
		}
		return &failure{act: "run " + cmd.CommandPath(), err: why, exit: Usage, hints: []string{cmd.CommandPath() + " --help"}}
	}
}

func args0(args []string) string {
	if len(args) == 0 {
		return "none"
	}
	return args[0]
}
