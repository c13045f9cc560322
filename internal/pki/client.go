package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// OperatorName is the common name of the certificate that pleiad presents to
// members. With etcd's authentication turned on it is the user's name.
const OperatorName = "pleiad"

// IssueOperator makes the certificate of pleiad itself, in PEM, valid for a
// year, good for nothing but being a client.
func (ca ClientCA) IssueOperator(random io.Reader, now time.Time, key Key) ([]byte, error) {
	return ca.issueClient(random, now, key, pkix.Name{CommonName: OperatorName}, now.AddDate(leafYears, 0, 0), "the operator")
}

// IssueGateway makes the certificate with which the JSON gateway in a member's
// etcd calls that etcd, in PEM, valid for a year. It has no common name: with
// authentication turned on no user can be called that, so it has no rights.
func (ca ClientCA) IssueGateway(random io.Reader, now time.Time, key Key, name cluster.MemberName) ([]byte, error) {
	subject := pkix.Name{Organization: []string{"JSON gateway of " + string(name)}}
	return ca.issueClient(random, now, key, subject, now.AddDate(leafYears, 0, 0), "the gateway of member "+string(name))
}

// Application is a client that is not ours.
type Application struct {
	// Name is what its files are called, and the name of etcd's user.
	Name string
	// NoUser leaves the name out of the certificate's common name, so that with
	// authentication turned on the application is nobody until it logs in.
	NoUser bool
}

// MaxLife is the longest life of an application's certificate: nothing but its
// end takes it back.
const MaxLife = 365 * 24 * time.Hour

// IssueClient makes the certificate of an application, in PEM.
func (ca ClientCA) IssueClient(random io.Reader, now time.Time, key Key, app Application, life time.Duration) ([]byte, error) {
	if err := app.Check(); err != nil {
		return nil, err
	}
	if life <= 0 || life > MaxLife {
		return nil, fmt.Errorf("issue certificate of application %s: valid for %s, want at most %s", app.Name, life, MaxLife)
	}
	subject := pkix.Name{CommonName: app.Name}
	if app.NoUser {
		subject = pkix.Name{Organization: []string{app.Name}}
	}
	return ca.issueClient(random, now, key, subject, now.Add(life), "application "+app.Name)
}

// Of says whether a certificate is one of this application, as IssueClient
// makes it.
func (app Application) Of(cert *x509.Certificate) bool {
	if app.NoUser {
		return cert.Subject.CommonName == "" && slices.Equal(cert.Subject.Organization, []string{app.Name})
	}
	return cert.Subject.CommonName == app.Name
}

func (ca ClientCA) issueClient(random io.Reader, now time.Time, key Key, subject pkix.Name, until time.Time, whose string) ([]byte, error) {
	template := &x509.Certificate{Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	b, err := ca.issue(random, now, key, template, until)
	if err != nil {
		return nil, fmt.Errorf("issue certificate of %s: %w", whose, err)
	}
	return b, nil
}

// applicationName is narrower than etcd's, which takes any text: the name also
// becomes the names of files, and is pasted into configuration. X.509 ends a
// common name at 64.
var applicationName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$`)

// Check refuses names that are not an application's. Reserved ones are refused in
// any case: a file system may not tell CA.crt from ca.crt, nor a reader Root from root.
func (app Application) Check() error {
	why := ""
	switch {
	case strings.EqualFold(app.Name, OperatorName):
		why = "pleiad uses that name itself: with authentication turned on the application would have the operator's rights"
	case strings.EqualFold(app.Name, "root"):
		why = "that is etcd's administrator: with authentication turned on the application would have every right"
	case strings.EqualFold(app.Name, "ca"):
		why = "its certificate would take the place of the CA's, ca.crt"
	case !applicationName.MatchString(app.Name):
		why = "want letters, digits, \".\", \"_\" and \"-\", at most 64, a letter or digit first and last"
	default:
		return nil
	}
	return fmt.Errorf("application name %q: %w", app.Name, errors.New(why))
}
