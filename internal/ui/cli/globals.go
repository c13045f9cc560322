package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
	"github.com/pleiad-etcd/pleiad/internal/given"
	"github.com/pleiad-etcd/pleiad/internal/shell"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/home"
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

// Patience with a world that does not move, unless --timeout says otherwise.
// Machines elsewhere may have resolvers that remember for a while what was
// there before; this machine's members have the name server's own word.
const (
	patienceHere      = time.Minute
	patienceElsewhere = 3 * time.Minute
)

// patience is how long to go on while nothing moves.
func (g *globals) patience(spec cluster.Spec) time.Duration {
	switch {
	case g.timeout != 0:
		return g.timeout
	case spec.Hosts.Local != nil:
		return patienceHere
	}
	return patienceElsewhere
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
	f.StringVarP(&g.flags.File, "file", "f", "", "spec file; not together with flags that describe a cluster (see pleiad init)")
	f.Var(optionalText{&g.flags.Cluster}, "cluster", "name of the cluster (default dev)")
	f.Var(optionalText{&g.flags.Domain}, "domain", "discovery domain (default CLUSTER.test)")
	f.Var(optionalNumber{&g.flags.Members}, "members", "number of voters: 1, 3, 5, 7 or 9 (default 3)")
	f.Var(optionalText{&g.flags.TLS}, "tls", "auto or off (default auto)")
	f.StringVar(&g.stateDir, "state-dir", "", "where clusters are kept (default $XDG_STATE_HOME/pleiad, else ~/.local/state/pleiad)")
	f.StringVar(&g.output, "output", string(render.Text), "text or json")
	f.BoolVarP(&g.verbose, "verbose", "v", false, "print every outside call to stderr")
	f.DurationVar(&g.timeout, "timeout", 0, "how long to go on while nothing moves, and to wait for another pleiad (default 1m; machines elsewhere 3m)")
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

// ownFlags are the flags of a command that were given, to be typed again. Consent
// is given anew each time.
func ownFlags(cmd *cobra.Command) []string {
	var out []string
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		switch {
		case !f.Changed || f.Name == "yes":
		case f.Value.Type() == "bool" && f.Value.String() == "true":
			out = append(out, "--"+f.Name)
		case f.Value.Type() == "bool":
			out = append(out, "--"+f.Name+"=false")
		default:
			out = append(out, "--"+f.Name, shell.Quote(f.Value.String()))
		}
	})
	return out
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
		return wrong("--timeout %s: expected a time above 0, such as 1m", g.timeout)
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

// again is a command line for the same cluster as this one. The command that
// runs is repeated with what it was asked for: without --keep-data, a destroy
// that is typed again deletes what was to be kept.
func (g *globals) again(command string) string {
	// Flags of ours stand before what is another program's.
	command, theirs, more := strings.Cut(command, " -- ")
	words := []string{"pleiad", command}
	add := func(flag, value string) {
		words = append(words, flag, shell.Quote(value))
	}
	if g.flags.File != "" {
		add("-f", g.flags.File)
	}
	if g.flags.Cluster != nil {
		add("--cluster", *g.flags.Cluster)
	}
	if g.stateDir != "" {
		add("--state-dir", g.stateDir)
	}
	if command == "up" || command == g.command {
		words = append(words, g.wanted()...)
	}
	if command == g.command {
		words = append(words, g.own...)
	}
	if more {
		words = append(words, "--", theirs)
	}
	return strings.Join(words, " ")
}

// spelled writes the commands of remedies for the cluster of a target. To destroy
// it forgets its spec: where that was not in a file, and is not the default, the
// command after that says it, in flags as far as they can.
func (g *globals) spelled(t target) func(string) string {
	return func(arguments string) string {
		if arguments != plan.Again {
			return g.again(arguments)
		}
		if g.flags.File != "" || t.stored == nil {
			return g.again("destroy") + " && " + g.again("up")
		}
		if in, ok := inFlags(t.spec); ok {
			anew := &globals{flags: in, stateDir: g.stateDir}
			return g.again("destroy") + " && " + anew.again("up")
		}
		file := string(t.spec.Cluster) + ".yaml"
		return "cp -i " + shell.Quote(filepath.Join(t.home.Dir(), "spec.yaml")) + " " + file + " && " + g.again("destroy") + " && " + g.inFile(file).again("up")
	}
}

// inFlags says a spec in flags, those of defaults left out; false if it says more
// than flags can.
func inFlags(s cluster.Spec) (spec.Flags, bool) {
	var f spec.Flags
	usual := spec.Default()
	if s.Cluster != usual.Cluster {
		f.Cluster = ptr(string(s.Cluster))
	}
	if s.Domain != string(s.Cluster)+".test" {
		f.Domain = ptr(s.Domain)
	}
	if s.Members != usual.Members {
		f.Members = ptr(s.Members)
	}
	if !s.TLS {
		f.TLS = ptr("off")
	}
	said, err := f.Apply(usual)
	return f, err == nil && reflect.DeepEqual(said, s)
}

// wanted are the flags that say what the cluster is to be.
func (g *globals) wanted() []string {
	var out []string
	if v := g.flags.Domain; v != nil {
		out = append(out, "--domain", shell.Quote(*v))
	}
	if v := g.flags.Members; v != nil {
		out = append(out, "--members", strconv.Itoa(*v))
	}
	if v := g.flags.TLS; v != nil {
		out = append(out, "--tls", shell.Quote(*v))
	}
	return out
}

// clusters are the names of those that are known here, for completion and
// hints; none if they cannot be read.
func (g *globals) clusters(s *System) []string {
	root, err := home.Root(g.stateDir, s.Env)
	if err != nil {
		return nil
	}
	names, err := home.List(root)
	if err != nil {
		return nil
	}
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return out
}

// target is the cluster that a command is about.
type target struct {
	root string
	spec cluster.Spec
	// stored is the spec that was used last, nil if none was.
	stored *cluster.Spec
	// home is nil if the cluster has none.
	home *home.Home
}

// find says which cluster a command line is about: what the file says; else
// what was used last for the cluster of this name, changed by the flags; else
// the defaults, changed by the flags.
func (g *globals) find(ctx context.Context, s *System) (target, error) {
	var t target
	var err error
	if t.root, err = home.Root(g.stateDir, s.Env); err != nil {
		return t, err
	}
	if t.spec, err = spec.FromFlags(g.flags, g.readOnce(ctx)); err != nil {
		return t, badSpec(g.flags.File, err)
	}
	// The spec is kept for commands that are typed elsewhere.
	if err = spec.Resolve(&t.spec, filepath.Abs); err != nil {
		return t, err
	}
	if t.home, err = home.Open(t.root, t.spec.Cluster); errors.Is(err, home.ErrNone) {
		t.home = nil
		return t, nil
	} else if err != nil {
		return t, err
	}
	// What a file says takes the place of a stored spec that cannot be read.
	if t.stored, err = stored(t.home); err != nil && g.flags.File == "" {
		return t, g.withoutSpec(t, damagedSpec(t.home, err))
	}
	if g.flags.File == "" {
		if err := g.recall(&t); err != nil {
			return t, err
		}
	}
	return t, g.contradiction(t)
}

// readOnce reads the spec's file once for a command, however often that looks
// for its cluster: what comes through a pipe comes once.
func (g *globals) readOnce(ctx context.Context) func(string) ([]byte, error) {
	return func(file string) ([]byte, error) {
		var err error
		if g.text == nil {
			g.text, err = given.Read(ctx, file, spec.MaxSize)
		}
		return g.text, err
	}
}

// badSpec is a spec that cannot be read at all.
func badSpec(name string, err error) error {
	var problems *spec.Error
	if errors.As(err, &problems) || errors.Is(err, context.Canceled) {
		return err
	}
	var file *fs.PathError
	if errors.As(err, &file) {
		err = file
	}
	f := &failure{act: "read the spec", err: err, exit: BadSpec}
	if errors.Is(err, fs.ErrNotExist) {
		f.hints = []string{"write one to start from: pleiad init -f " + shell.Quote(name)}
	}
	return f
}

// stored is the spec that was used last.
func stored(h *home.Home) (*cluster.Spec, error) {
	b, err := h.Spec()
	if err != nil || b == nil {
		return nil, err
	}
	s, err := spec.Parse(h.Dir()+"/spec.yaml", b)
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// recall makes the spec of what was used last, changed by the flags. Of a home
// in which nothing was stored yet, where the cluster was to live is known. An
// owner without a spec is never a fresh start: a cluster was begun from here, and
// the defaults would begin another one beside it, or let a destroy look for it
// in the wrong place, find nothing, and forget its CA.
func (g *globals) recall(t *target) (err error) {
	switch seat := t.home.Seat(); {
	case t.stored != nil:
		t.spec, err = g.flags.Apply(*t.stored)
	case t.home.Claimed():
		return g.withoutSpec(*t, lostSpec(t.home))
	case g.flags.Domain == nil:
		t.spec.Domain = seat.Domain
	}
	return err
}

// inFile is the same command with a spec file, which says it all.
func (g *globals) inFile(name string) *globals {
	return &globals{flags: spec.Flags{File: name}, stateDir: g.stateDir, command: g.command, own: g.own}
}

// withoutSpec is the error of a cluster whose stored spec is of no use.
func (g *globals) withoutSpec(t target, why error) error {
	seat := t.home.Seat()
	return &failure{act: "find the spec of cluster " + string(t.spec.Cluster), err: why, hints: []string{
		"restore it from a backup, if there is one",
		"else say it again, with what the cluster had: " + g.inFile("pleiad.yaml").again(g.command),
		"a file to start from: pleiad init --hosts " + seat.Hosts + " --dns " + seat.DNS + " -f pleiad.yaml"}}
}

func lostSpec(h *home.Home) *home.Error {
	return specError(h, fmt.Sprintf("missing, but this directory owns cluster %s%s", h.Cluster(), lives(h)))
}

// damagedSpec is the error of a stored spec that is not one. An interrupted
// command says nothing about it.
func damagedSpec(h *home.Home, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	why, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), filepath.Join(h.Dir(), "spec.yaml")+":"), "\n")
	return specError(h, fmt.Sprintf("not readable (%s); cluster %s is%s", strings.TrimSpace(why), h.Cluster(), lives(h)))
}

func specError(h *home.Home, problem string) *home.Error {
	return &home.Error{Path: filepath.Join(h.Dir(), "spec.yaml"), Problem: problem, Kind: home.ErrDamaged}
}

// lives says where a cluster lives.
func lives(h *home.Home) string {
	seat := h.Seat()
	return fmt.Sprintf(" on %s, with hosts of kind %s and its records in zone %s (%s)", seat.Domain, seat.Hosts, seat.Zone, seat.DNS)
}

// sameZone refuses a name server on which the cluster does not stand, where it
// is another one than before, or where before is not known; see [plan.Astray].
func (g *globals) sameZone(ctx context.Context, system *System, t target, s cluster.State, command string) error {
	if t.home == nil || !t.home.Claimed() || t.home.Copied() != "" || t.stored != nil && server(*t.stored) == server(t.spec) {
		return nil
	}
	former, destroys := cluster.Unknown[cluster.Records]("not asked for"), command == "destroy"
	if plan.Astray(t.spec, s, former, destroys) && t.stored != nil {
		former = g.former(ctx, system, t)
	}
	if !plan.Astray(t.spec, s, former, destroys) {
		return nil
	}
	f := &failure{act: fmt.Sprintf("find cluster %s", t.spec.Cluster), exit: BadSpec,
		err: fmt.Errorf("%s shows no marker of it on %s, but the cluster was begun from here", provider(t.spec), t.spec.MarkerName())}
	if t.stored != nil {
		f.err = fmt.Errorf("%s shows no marker of it; its records were in %s until now", server(t.spec), server(*t.stored))
		f.hints = []string{"have the new server serve the zone with all its records, or go on with: server: " + server(*t.stored)}
		return f
	}
	f.hints = []string{"put the zone back as it was, or name the domain, the discoveryName and the name server that the cluster had"}
	return f
}

// former is the marker as the name server of the stored spec shows it.
func (g *globals) former(ctx context.Context, system *System, t target) cluster.Seen[cluster.Records] {
	t.spec = *t.stored
	sur, err := g.surroundings(ctx, system, t)
	if err != nil {
		return cluster.Unknown[cluster.Records](err.Error())
	}
	found, err := sur.World.DNS.Read(ctx, []cluster.Key{t.spec.MarkerKey()})
	if err != nil {
		return cluster.Unknown[cluster.Records](err.Error())
	}
	return cluster.Known(found)
}

// server is where the records of a spec are written; empty for our own.
func server(s cluster.Spec) string {
	if r := s.DNS.RFC2136; r != nil {
		return r.Server
	}
	return ""
}

// contradiction refuses a spec that is about another cluster than the one of
// this name: to mix them would lose sight of the records or hosts of one. A
// change that the planner can judge (size, options, TLS) is none.
func (g *globals) contradiction(t target) error {
	was, is := t.home.Seat(), home.SeatOf(t.spec)
	switch {
	case t.stored != nil:
		was = home.SeatOf(*t.stored)
	case !t.home.Claimed(): // only the domain has begun to matter
		was = home.Seat{Domain: was.Domain, DiscoveryName: is.DiscoveryName, Hosts: is.Hosts, DNS: is.DNS, Zone: is.Zone}
	}
	var what string
	switch {
	case was.Domain != is.Domain:
		what = fmt.Sprintf("its domain is %s, not %s", was.Domain, is.Domain)
	case was.DiscoveryName != is.DiscoveryName:
		what = fmt.Sprintf("its discoveryName is %q, not %q", was.DiscoveryName, is.DiscoveryName)
	case was.DNS != is.DNS || was.Zone != is.Zone:
		what = fmt.Sprintf("its records are in %s, not in %s", records(was), records(is))
	case was.Hosts != is.Hosts:
		what = fmt.Sprintf("its members run %s, not %s", place(was), place(is))
	default:
		return nil
	}
	return &failure{act: fmt.Sprintf("use this spec for cluster %s", t.spec.Cluster), err: errors.New(what), exit: BadSpec, hints: []string{
		"give the other cluster a name of its own: --cluster NAME, or cluster: NAME in the file",
		"or destroy this cluster first: " + (&globals{flags: spec.Flags{Cluster: ptr(string(t.spec.Cluster))}, stateDir: g.stateDir}).again("destroy"),
	}}
}

func ptr[T any](v T) *T { return &v }

// provider says where records are written.
func provider(s cluster.Spec) string {
	if r := s.DNS.RFC2136; r != nil {
		return "zone " + r.Zone + " on " + r.Server
	}
	return records(home.SeatOf(s))
}

// records says whose records they are among.
func records(s home.Seat) string {
	if s.DNS == "rfc2136" {
		return "zone " + s.Zone + " (rfc2136)"
	}
	return "the embedded name server"
}

// place says where members run.
func place(s home.Seat) string {
	if s.Hosts == "ssh" {
		return "on machines over SSH"
	}
	return "on this machine"
}

// known is find for commands that need a cluster to be there.
func (g *globals) known(ctx context.Context, s *System) (target, error) {
	t, err := g.find(ctx, s)
	if err != nil || t.home != nil {
		return t, err
	}
	f := &failure{act: fmt.Sprintf("find cluster %s", t.spec.Cluster), err: errors.New("there is no such cluster in " + t.root), exit: NoCluster,
		hints: []string{"make it: " + g.again("up")}}
	if left, err := home.Remains(t.root, t.spec.Cluster); err == nil && left != nil {
		f.hints = []string{"something is left of one in " + left.Dir() + "; make its home.json again: " + g.again("take-over")}
	}
	for _, name := range g.clusters(s) {
		f.hints = append(f.hints, "there is: --cluster "+name)
	}
	return t, f
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
