// Package handout gives an application what it needs to be a client of a
// cluster: NAME.key, NAME.crt and ca.crt in a folder, issued by the cluster's
// home and kept nowhere else.
//
// [Request.Issue] is the one method. It replaces no file but, when asked to, the
// certificate, for the key that is there: so the two fit at each moment.
package handout

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/pki"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/given"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// MaxLife is the longest life of a certificate.
const MaxLife = pki.MaxLife

// Request is what is asked for.
type Request struct {
	pki.Application
	Life time.Duration
	// Folder is made if it does not exist.
	Folder string
	// Renew replaces the certificate by one for the key that is there.
	Renew bool
}

// Files are the paths of what is handed out.
type Files struct{ CA, Cert, Key string }

// Files says where they go.
func (r Request) Files() Files {
	return Files{CA: filepath.Join(r.Folder, "ca.crt"), Cert: filepath.Join(r.Folder, r.Name+".crt"), Key: filepath.Join(r.Folder, r.Name+".key")}
}

// Remedy is what a person can do about an obstacle.
type Remedy int

// The remedies, all of which include another folder.
const (
	Elsewhere Remedy = iota // nothing else
	Renew                   // ask to renew
	First                   // ask for a first certificate, not to renew
	AsBefore                // ask for the same kind of certificate as before
)

// Obstacle is a file, present or missing, because of which nothing was written.
type Obstacle struct {
	Path, Problem string
	Remedy        Remedy
}

// Error implements error.
func (o *Obstacle) Error() string { return o.Path + ": " + o.Problem }

// Issue writes the files and returns when the certificate ends. The key comes
// before the certificate: one that is there has its key, and what a crash left
// unfinished is finished by renewing.
func (r Request) Issue(ctx context.Context, h *statedir.Home) (time.Time, error) {
	files := r.Files()
	var key []byte
	certificate := durable.Private(files.Cert, nil)
	var err error
	if r.Renew {
		key, certificate, err = r.former(ctx, files)
	} else {
		err = free(files.Key, files.Cert)
	}
	if errors.Is(err, fs.ErrExist) {
		err = r.inTheWay(ctx, files, err)
	}
	if err != nil {
		return time.Time{}, err
	}
	client, err := h.IssueClient(ctx, r.Application, r.Life, key)
	if err != nil {
		return time.Time{}, err
	}
	if err := os.MkdirAll(r.Folder, 0o700); err != nil {
		return time.Time{}, err
	}
	if err := trust(ctx, files.CA, client.CA); err != nil {
		return time.Time{}, err
	}
	certificate.Content = client.Cert
	if r.Renew {
		_, err := durable.Replace(certificate)
		return client.NotAfter, err
	}
	for _, f := range []durable.File{durable.Private(files.Key, client.Key), certificate} {
		if err := durable.Create(f); errors.Is(err, fs.ErrExist) {
			return time.Time{}, &Obstacle{f.Path, "it exists", Elsewhere}
		} else if err != nil {
			return time.Time{}, err
		}
	}
	return client.NotAfter, nil
}

// free wants nothing in the places of new files.
func free(paths ...string) error {
	for _, path := range paths {
		_, err := os.Lstat(path)
		if err == nil {
			return &fs.PathError{Path: path, Err: fs.ErrExist}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// inTheWay is the obstacle of a file that exists. To renew is a remedy only
// where it would succeed.
func (r Request) inTheWay(ctx context.Context, files Files, err error) error {
	o := &Obstacle{files.Key, "it exists", Elsewhere}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		o.Path = path.Path
	}
	key, _, err := r.former(ctx, files)
	if err == nil {
		_, err = pki.ParseKey("key", key)
	}
	if err == nil {
		o.Remedy = Renew
	}
	return o
}

// former is the key to issue for, and the file of its certificate, which keeps
// the owner and mode that somebody gave it for the application.
func (r Request) former(ctx context.Context, files Files) (key []byte, certificate durable.File, err error) {
	key, err = given.Read(ctx, files.Key, given.Key)
	if errors.Is(err, fs.ErrNotExist) {
		o := &Obstacle{files.Key, "there is no key to renew a certificate for", First}
		if free(files.Cert) != nil { // a first one would not be written either
			o.Remedy = Elsewhere
		}
		return nil, certificate, o
	}
	if err != nil {
		return nil, certificate, err
	}
	old, err := given.Read(ctx, files.Cert, given.Key)
	if errors.Is(err, fs.ErrNotExist) { // a crash came between the two
		return key, durable.Private(files.Cert, nil), nil
	}
	if err != nil {
		return nil, certificate, err
	}
	cert, err := pki.ParseCertificate("certificate", old)
	if err != nil {
		return nil, certificate, &Obstacle{files.Cert, err.Error(), Elsewhere}
	}
	if !r.Of(cert) {
		return nil, certificate, &Obstacle{files.Cert, "it is of another application, or differs in whether it names a user", AsBefore}
	}
	certificate, err = durable.Like(files.Cert)
	return key, certificate, err
}

// trust writes the CA's certificate. One of another cluster stays.
func trust(ctx context.Context, path string, ca []byte) error {
	have, err := given.Read(ctx, path, given.Key)
	if errors.Is(err, fs.ErrNotExist) {
		if err = durable.Create(durable.Private(path, ca)); !errors.Is(err, fs.ErrExist) {
			return err
		}
	} else if err != nil {
		return err
	} else if bytes.Equal(have, ca) {
		return nil
	}
	return &Obstacle{path, "it exists and is not this cluster's", Elsewhere}
}
