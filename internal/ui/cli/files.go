package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
)

type initOptions struct {
	*globals
	system              *System
	hosts, dns, deliver string
}

func newInit(s *System, g *globals, run func(context.Context, *initOptions) error) *cobra.Command {
	o := &initOptions{globals: g, system: s}
	if run == nil {
		run = func(_ context.Context, o *initOptions) error { return o.run() }
	}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Print a commented pleiad.yaml to start from",
		Long: `init prints a spec file to start from, with every key explained. With -f it writes
the text to that file, which must not exist.`,
		Example: "  pleiad init > pleiad.yaml\n  pleiad init --hosts ssh --dns rfc2136 -f pleiad.yaml",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.hosts, "hosts", "local", "where members run: local, ssh or ec2")
	cmd.Flags().StringVar(&o.dns, "dns", "", "where records are written: embedded, rfc2136, cloudflare or route53 (default embedded, with ssh rfc2136, with ec2 cloudflare)")
	cmd.Flags().StringVar(&o.deliver, "deliver", "", "how hosts get what they need: local, systemd or chef (default local, with ssh and ec2 systemd)")
	return cmd
}

func (o *initOptions) run() error {
	path, act := o.flags.File, "write "+o.flags.File
	toOut := path == "" || path == "-"
	if toOut {
		act = "print a spec"
	}
	text, err := spec.Template(o.hosts, o.dns, o.deliver)
	if err != nil {
		return cannot(act, err)
	}
	if toOut {
		_, err := o.system.Out.Write(text)
		return cannot(act, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return &failure{act: act, err: errors.New("it exists"), exit: Occupied, hints: []string{
			"write another one: " + o.inFile("OTHER.yaml").again("init"), "see what would be in it: " + o.inFile("").again("init")}}
	}
	if err != nil {
		return cannot(act, err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return cannot(act, errors.Join(err, os.Remove(path)))
	}
	fmt.Fprintf(o.system.Out, "wrote %s; change it, then: %s\n", path, o.again("up"))
	return nil
}

func newSchema(s *System) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of pleiad.yaml, for editors",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := s.Out.Write(spec.Schema())
			return cannot("print the schema", err)
		},
	}
}

func newVersion(s *System, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of pleiad and of the etcd in it",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			return cannot("print the version", g.printer(s).Show(s.Version()))
		},
	}
}
