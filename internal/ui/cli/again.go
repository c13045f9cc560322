package cli

import (
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/plan"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
	"github.com/pleiad-etcd/pleiad/internal/operate"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

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

// inFile is the same command with a spec file, which is the whole spec.
func (g *globals) inFile(name string) *globals {
	return &globals{flags: spec.Flags{File: name}, stateDir: g.stateDir, command: g.command, own: g.own}
}

// spelled writes the commands of remedies for the cluster of a target. To destroy
// it forgets its spec: where that was not in a file, and is not the default, the
// command after that says it, in flags as far as they can.
func (g *globals) spelled(t operate.Target) func(string) string {
	return func(arguments string) string {
		if arguments != plan.Again {
			return g.again(arguments)
		}
		if g.flags.File != "" || t.Stored == nil {
			return g.again("destroy") + " && " + g.again("up")
		}
		if in, ok := inFlags(t.Spec); ok {
			anew := &globals{flags: in, stateDir: g.stateDir}
			return g.again("destroy") + " && " + anew.again("up")
		}
		file := string(t.Spec.Cluster) + ".yaml"
		return "cp -i " + shell.Quote(filepath.Join(t.Home.Dir(), "spec.yaml")) + " " + file + " && " + g.again("destroy") + " && " + g.inFile(file).again("up")
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

func ptr[T any](v T) *T { return &v }
