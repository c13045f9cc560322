package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/operate"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/handout"
)

// defaultDays is how long an application's certificate is valid if nobody says
// otherwise: its end is the only thing that takes it back.
const defaultDays = 90

const day = 24 * time.Hour

type certificateOptions struct {
	*globals
	system  *System
	request handout.Request
	days    int
}

func newCertificate(s *System, g *globals, run func(context.Context, *certificateOptions) error) *cobra.Command {
	o := &certificateOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *certificateOptions) error { return o.run(ctx) }
	}
	cmd := &cobra.Command{
		Use:   "certificate NAME",
		Short: "Issue a client certificate for an application",
		Long: `certificate issues a client certificate for an application, and prints what to
paste into the configuration of etcdctl, Patroni and Prometheus. It writes
NAME.key, NAME.crt and ca.crt, and never replaces a file. Only --renew replaces
NAME.crt, with a new certificate for the key in NAME.key.

NAME is the certificate's common name: with etcd's authentication turned on, the
application is the user of that name. Without authentication, every certificate
gives access to all keys. With --no-user the certificate names no user: for
programs that log in with a password through etcd's JSON API, as Patroni does.

pleiad keeps no list of these certificates, does not renew them and cannot
revoke them. See docs/certificates.md.`,
		Example: "  pleiad certificate patroni --no-user --to /etc/patroni/etcd\n  pleiad certificate prometheus --days 365\n  pleiad certificate prometheus --renew",
		Args:    exactly(1, "one argument, the name of the application"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.request.Name = args[0]
			return run(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVar(&o.days, "days", defaultDays, "how many days it is valid, at most 365")
	cmd.Flags().StringVar(&o.request.Folder, "to", ".", "folder for the files; made if it does not exist")
	cmd.Flags().BoolVar(&o.request.NoUser, "no-user", false, "name no user in the certificate")
	cmd.Flags().BoolVar(&o.request.Renew, "renew", false, "replace NAME.crt with a new one for the key in NAME.key")
	return cmd
}

func (o *certificateOptions) run(ctx context.Context) error {
	r := o.request
	act := "issue a certificate for " + r.Name
	if err := r.Check(); err != nil {
		return &failure{act: "issue a certificate", err: err, exit: Usage, hints: []string{"pleiad certificate --help"}}
	}
	if most := int(handout.MaxLife / day); o.days < 1 || o.days > most {
		return &failure{act: act, err: fmt.Errorf("--days %d: want 1 to %d", o.days, most), exit: Usage, hints: []string{"pleiad certificate --help"}}
	}
	r.Life = time.Duration(o.days) * day
	t, err := o.known(ctx, o.system)
	if err != nil {
		return cannot("find the cluster", err)
	}
	if !t.Spec.TLS {
		return &failure{act: act, err: fmt.Errorf("cluster %s has TLS off: its clients need no certificate", t.Spec.Cluster), exit: BadSpec,
			hints: []string{"see how clients reach it: " + o.again("env")}}
	}
	if r.Folder, err = filepath.Abs(r.Folder); err != nil {
		return cannot(act, err)
	}
	until, err := r.Issue(ctx, t.Home)
	if obstacle, ok := errors.AsType[*handout.Obstacle](err); ok {
		return o.obstructed(act, obstacle)
	}
	if err != nil {
		return cannot(act, err)
	}
	files := render.CertificateFiles(r.Files())
	out := render.Certificate{Cluster: string(t.Spec.Cluster), Name: r.Name, NotAfter: until, Files: files, Settings: []render.Setting{}}
	if !r.NoUser {
		out.User = r.Name
	}
	by, note := o.finder(ctx, t)
	out.Note = note
	if by != nil {
		out.Settings = files.Settings(*by, !r.NoUser)
	}
	return cannot(act, o.printer(o.system).Show(out))
}

// obstructed says what to do about a file in the way.
func (o *certificateOptions) obstructed(act string, obstacle *handout.Obstacle) error {
	f := &failure{act: act, err: obstacle, exit: Occupied}
	elsewhere := "write to another folder: --to FOLDER"
	switch obstacle.Remedy {
	case handout.Renew:
		f.hints = append(f.hints, "issue a new one for that key: "+o.again("certificate "+o.request.Name+" --renew"+o.rest()))
	case handout.First:
		f.exit = Failed
		f.hints = append(f.hints, "issue the first one: "+o.again("certificate "+o.request.Name+o.rest()))
	case handout.AsBefore:
		f.hints = append(f.hints, "give or leave out --no-user as before")
	}
	if len(f.hints) > 0 {
		elsewhere = "or " + elsewhere
	}
	f.hints = append(f.hints, elsewhere)
	return f
}

// rest are the flags to be repeated beside --renew.
func (o *certificateOptions) rest() string {
	rest := ""
	if o.request.NoUser {
		rest += " --no-user"
	}
	if o.days != defaultDays {
		rest += fmt.Sprintf(" --days %d", o.days)
	}
	if o.request.Folder != "." {
		rest += " --to " + shell.Quote(o.request.Folder)
	}
	return rest
}

// finding is how long the addresses of the members may take.
const finding = 3 * time.Second

// finder is how clients find the cluster. The names of local hosts are known to
// no resolver but the cluster's, so there it takes addresses, which only the
// running cluster knows; without them there is only a note.
func (o *certificateOptions) finder(ctx context.Context, t operate.Target) (*render.Finder, []string) {
	by := render.Finder{Domain: t.Spec.Domain, DiscoveryName: t.Spec.DiscoveryName, Service: t.Spec.ClientService()}
	if t.Spec.OnMachines() {
		return &by, nil
	}
	ctx, cancel := context.WithTimeout(ctx, finding)
	defer cancel()
	sur, err := o.surroundings(ctx, o.system, t)
	var found discovery.Cluster
	if err == nil {
		found, err = operate.Discover(ctx, t.Spec, sur)
	}
	if err != nil {
		return nil, []string{fmt.Sprintf("the members' addresses are not known now (%v); when the cluster is up: %s", err, o.again("env"))}
	}
	for _, text := range byAddress(found) {
		if u, err := url.Parse(text); err == nil {
			by.Endpoints = append(by.Endpoints, u.Host)
		}
	}
	return &by, nil
}
