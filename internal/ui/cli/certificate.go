package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/durable"
	"github.com/pleiad-etcd/pleiad/internal/pki"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/home"
)

// defaultDays is how long an application's certificate is valid if nobody says
// otherwise: its end is the only thing that takes it back.
const defaultDays = 90

type certificateOptions struct {
	*globals
	system *System
	app    pki.Application
	days   int
	folder string
	renew  bool
}

func newCertificate(s *System, g *globals, run func(context.Context, *certificateOptions) error) *cobra.Command {
	o := &certificateOptions{globals: g, system: s}
	if run == nil {
		run = func(ctx context.Context, o *certificateOptions) error { return o.run(ctx) }
	}
	cmd := &cobra.Command{
		Use:   "certificate NAME",
		Short: "Issue a client certificate for an application",
		Long: `certificate issues a certificate with which an application is a client of the
cluster, and prints what to paste into the configuration of etcdctl, Patroni and
Prometheus. It writes NAME.key, NAME.crt and ca.crt and replaces no file; with
--renew it issues anew for the key in NAME.key and replaces NAME.crt.

NAME is the certificate's common name: with etcd's authentication turned on, the
application is the user of that name. Without authentication each certificate can
read and write every key. With --no-user the certificate names no user: for
programs that log in with a password through etcd's JSON API, as Patroni does.

pleiad keeps no list of these certificates, does not renew them and cannot take
them back before they end. See docs/certificates.md.`,
		Example: "  pleiad certificate patroni --no-user --to /etc/patroni/etcd\n  pleiad certificate prometheus --days 365\n  pleiad certificate prometheus --renew",
		Args:    exactly(1, "one argument, the name of the application"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.app.Name = args[0]
			return run(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVar(&o.days, "days", defaultDays, "how many days it is valid, at most 365")
	cmd.Flags().StringVar(&o.folder, "to", ".", "folder for the files; made if it does not exist")
	cmd.Flags().BoolVar(&o.app.NoUser, "no-user", false, "name no user in the certificate")
	cmd.Flags().BoolVar(&o.renew, "renew", false, "replace NAME.crt by one for the key in NAME.key")
	return cmd
}

func (o *certificateOptions) run(ctx context.Context) error {
	act := "issue a certificate for " + o.app.Name
	if err := o.app.Check(); err != nil {
		return &failure{act: "issue a certificate", err: err, exit: Usage, hints: []string{"pleiad certificate --help"}}
	}
	if most := int(pki.MaxLife / (24 * time.Hour)); o.days < 1 || o.days > most {
		return &failure{act: act, err: fmt.Errorf("--days %d: want 1 to %d", o.days, most), exit: Usage, hints: []string{"pleiad certificate --help"}}
	}
	t, err := o.known(ctx, o.system)
	if err != nil {
		return cannot("find the cluster", err)
	}
	if !t.spec.TLS {
		return &failure{act: act, err: fmt.Errorf("cluster %s has TLS off: its clients need no certificate", t.spec.Cluster), exit: BadSpec,
			hints: []string{"see how clients reach it: " + o.again("env")}}
	}
	folder, err := filepath.Abs(o.folder)
	if err != nil {
		return cannot(act, err)
	}
	files := render.CertificateFiles{CA: filepath.Join(folder, "ca.crt"), Cert: filepath.Join(folder, o.app.Name+".crt"), Key: filepath.Join(folder, o.app.Name+".key")}
	client, err := o.issue(ctx, t.home, folder, files)
	if err != nil {
		return cannot(act, err)
	}
	out := render.Certificate{Cluster: string(t.spec.Cluster), Name: o.app.Name, NotAfter: client.NotAfter, Files: files}
	if !o.app.NoUser {
		out.User = o.app.Name
	}
	by, note := o.finder(ctx, t)
	out.Note, out.Settings = note, []render.Setting{}
	if by != nil {
		out.Settings = files.Settings(*by, !o.app.NoUser)
	}
	return cannot(act, o.printer(o.system).Show(out))
}

// issue writes the files: the key before the certificate, so that a certificate
// that is there has its key, and after a crash --renew goes on.
func (o *certificateOptions) issue(ctx context.Context, h *home.Home, folder string, files render.CertificateFiles) (home.Client, error) {
	var key []byte
	certificate := durable.Private(files.Cert, nil)
	if o.renew {
		var err error
		if key, certificate, err = o.former(files); err != nil {
			return home.Client{}, err
		}
	} else if err := o.free(files.Key, files.Cert); err != nil {
		return home.Client{}, err
	}
	client, err := h.IssueClient(ctx, o.app, time.Duration(o.days)*24*time.Hour, key)
	if err != nil {
		return home.Client{}, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return home.Client{}, err
	}
	if err := o.trust(files.CA, client.CA); err != nil {
		return home.Client{}, err
	}
	certificate.Content = client.Cert
	if o.renew {
		_, err := durable.Replace(certificate)
		return client, err
	}
	for _, f := range []durable.File{durable.Private(files.Key, client.Key), certificate} {
		if err := durable.Create(f); err != nil {
			return home.Client{}, o.inTheWay(f.Path, err)
		}
	}
	return client, nil
}

// free wants no files in the places of new ones.
func (o *certificateOptions) free(paths ...string) error {
	for _, path := range paths {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				err = fs.ErrExist
			}
			return o.inTheWay(path, err)
		}
	}
	return nil
}

func (o *certificateOptions) inTheWay(path string, err error) error {
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	return &failure{act: "write " + path, err: errors.New("it exists"), exit: Occupied, hints: []string{
		"issue anew for the key that is there: " + o.again("certificate "+o.app.Name+" --renew"+o.rest()),
		"or write to another folder: --to FOLDER"}}
}

// rest are the flags to be repeated beside --renew.
func (o *certificateOptions) rest() string {
	rest := ""
	if o.app.NoUser {
		rest += " --no-user"
	}
	if o.days != defaultDays {
		rest += fmt.Sprintf(" --days %d", o.days)
	}
	if o.folder != "." {
		rest += " --to " + word(o.folder)
	}
	return rest
}

// former is the key to issue anew for, and the file of its certificate, which
// keeps the owner and mode that somebody gave it for the application.
func (o *certificateOptions) former(files render.CertificateFiles) (key []byte, certificate durable.File, err error) {
	if key, err = readSmall(files.Key); errors.Is(err, fs.ErrNotExist) {
		return nil, certificate, &failure{act: "renew " + files.Cert, err: fmt.Errorf("there is no key in %s", files.Key), exit: Failed,
			hints: []string{"issue the first one: without --renew"}}
	}
	if err != nil {
		return nil, certificate, err
	}
	old, err := readSmall(files.Cert)
	if errors.Is(err, fs.ErrNotExist) { // a crash came between the two
		return key, durable.Private(files.Cert, nil), nil
	}
	if err != nil {
		return nil, certificate, err
	}
	cert, err := pki.ParseCertificate(files.Cert, old)
	if err != nil {
		return nil, certificate, &failure{act: "renew " + files.Cert, err: err, exit: Occupied, hints: []string{"move it away, then try again"}}
	}
	if !o.app.Of(cert) {
		return nil, certificate, &failure{act: "renew " + files.Cert, err: errors.New("it is of another application, or differs in --no-user"), exit: Occupied,
			hints: []string{"give or leave out --no-user as before", "or write to another folder: --to FOLDER"}}
	}
	certificate, err = durable.Like(files.Cert)
	return key, certificate, err
}

// readSmall reads a file that is no larger than keys and certificates are.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > 64<<10 {
		return nil, fmt.Errorf("read %s: want a file of at most 64 KiB", path)
	}
	return os.ReadFile(path)
}

// trust writes the CA's certificate. One of another cluster stays.
func (o *certificateOptions) trust(path string, ca []byte) error {
	have, err := readSmall(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err = durable.Create(durable.Private(path, ca)); errors.Is(err, fs.ErrExist) {
			break
		}
		return err
	case err != nil:
		return err
	case string(have) == string(ca):
		return nil
	}
	return &failure{act: "write " + path, err: errors.New("it exists and is not this cluster's"), exit: Occupied, hints: []string{"write to another folder: --to FOLDER"}}
}

// finder is how clients find the cluster. The names of local hosts are known to
// no resolver but the cluster's, so there it takes addresses, which only the
// running cluster knows; without them there is only a note.
func (o *certificateOptions) finder(ctx context.Context, t target) (*render.Finder, []string) {
	by := render.Finder{Domain: t.spec.Domain, DiscoveryName: t.spec.DiscoveryName, Service: t.spec.ClientService()}
	if t.spec.Hosts.Local == nil {
		return &by, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askMember)
	defer cancel()
	sur, err := o.surroundings(ctx, o.system, t)
	var found discovery.Cluster
	if err == nil {
		found, err = discovery.Lookup(ctx, t.spec.Domain, lookupOptions(t.spec, sur.Resolver)...)
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
