package home

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/pleiad-etcd/pleiad/internal/pki"
)

// Files in pki/.
const (
	caCert       = "ca.crt"
	caKey        = "ca.key"
	operatorCert = "client.crt"
	operatorKey  = "client.key"
)

// mustCA is the stored CA, or an error.
func (h *Home) mustCA() (pki.CA, error) {
	ca, err := h.ca()
	if err == nil && ca == nil {
		err = &Error{Path: h.path(pkiFolder), Problem: "there is no CA", Hint: "one is made by: pleiad up, unless the spec says tls: off"}
	}
	if err != nil {
		return pki.CA{}, err
	}
	return *ca, nil
}

// ca reads the stored CA; nil if there is none. One of its two files without
// the other is damage, never absence: nothing we do leaves that behind.
func (h *Home) ca() (*pki.CA, error) {
	cert, key, err := h.pair(caCert, caKey)
	if err != nil || cert == nil && key == nil {
		return nil, err
	}
	if cert == nil || key == nil {
		missing := caCert
		if key == nil {
			missing = caKey
		}
		return nil, &Error{Path: h.path(pkiFolder, missing), Problem: "missing, but the other half of the CA is there",
			Hint: restore + ", and members trust that CA", Kind: ErrDamaged}
	}
	ca, err := pki.ParseCA(cert, key)
	if err != nil {
		return nil, &Error{Path: h.path(pkiFolder), Problem: err.Error(), Hint: restore, Kind: ErrDamaged}
	}
	return &ca, nil
}

// operator reads the operator's pair; nil if it is missing, unreadable as
// such, or another CA's. It can be issued again at any time.
func (h *Home) operator(ca pki.CA) (*tls.Certificate, *x509.Certificate, error) {
	certPEM, keyPEM, err := h.pair(operatorCert, operatorKey)
	if err != nil {
		return nil, nil, err
	}
	cert, err := pki.ParseCertificate("operator's certificate", certPEM)
	if err != nil || !ca.Issued(cert) {
		return nil, nil, nil
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, nil, nil
	}
	return &pair, cert, nil
}

// pair reads two files of pki/, nil for one that does not exist.
func (h *Home) pair(cert, key string) (certPEM, keyPEM []byte, err error) {
	if err := checkFolder(h.path(pkiFolder), self()); err != nil {
		return nil, nil, orNone(err)
	}
	if certPEM, err = readOwn(h.path(pkiFolder, cert)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	if keyPEM, err = readOwn(h.path(pkiFolder, key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	if keyPEM != nil {
		if err := checkSecret(h.path(pkiFolder, key)); err != nil {
			return nil, nil, err
		}
	}
	return certPEM, keyPEM, nil
}

// createPKI makes pki/ with a CA and the operator's pair in one rename, or,
// where there is a CA, just what is missing of the operator.
func (h *Home) createPKI() error {
	ca, err := h.ca()
	if err != nil {
		return err
	}
	if ca != nil {
		pair, _, err := h.operator(*ca)
		if err != nil || pair != nil {
			return err
		}
		return h.renewOperator(*ca)
	}
	if err := h.checkEmpty(); err != nil {
		return err
	}
	files, err := h.newPKI()
	if err != nil {
		return err
	}
	return h.placePKI(files)
}

// checkEmpty wants no pki/, or one with nothing in it, which is removed.
func (h *Home) checkEmpty() error {
	entries, err := os.ReadDir(h.path(pkiFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unreadable(h.path(pkiFolder), err)
	}
	if len(entries) > 0 {
		return &Error{Path: h.path(pkiFolder), Problem: "there is no CA in it, but " + entries[0].Name(), Hint: "move it away", Kind: ErrForeign}
	}
	if err := discard(h.disk, h.path(pkiFolder)); err != nil {
		return unwritable(h.path(pkiFolder), err)
	}
	return nil
}

// file is one file to be written.
type file struct {
	name string
	data []byte
}

// newPKI makes a CA and an operator.
func (h *Home) newPKI() ([]file, error) {
	ca, err := pki.NewCA(h.random, h.now(), h.cluster)
	if err != nil {
		return nil, err
	}
	key, err := pki.NewKey(h.random)
	if err != nil {
		return nil, err
	}
	cert, err := ca.IssueOperator(h.random, h.now(), key)
	if err != nil {
		return nil, err
	}
	return []file{{caCert, ca.PEM()}, {caKey, ca.Key().PEM()}, {operatorCert, cert}, {operatorKey, key.PEM()}}, nil
}

// placePKI writes pki/ beside its place and renames it.
func (h *Home) placePKI(files []file) error {
	beside := h.path(pkiFolder + fresh)
	for _, rest := range []string{beside, h.path(pkiFolder + gone)} {
		if err := h.empty(rest); err != nil {
			return unwritable(rest, err)
		}
	}
	err := h.fill(beside, files)
	if err == nil {
		err = h.disk.rename(beside, h.path(pkiFolder))
	}
	if err != nil {
		_ = h.empty(beside) // err is what matters
		return unwritable(h.path(pkiFolder), err)
	}
	if err := h.disk.syncDir(h.dir); err != nil {
		return unwritable(h.dir, err)
	}
	return nil
}

func (h *Home) fill(dir string, files []file) error {
	if err := h.disk.mkdir(dir); err != nil {
		return err
	}
	for _, f := range files {
		if err := h.disk.create(filepath.Join(dir, f.name), f.data); err != nil {
			return err
		}
	}
	return h.disk.syncDir(dir)
}

// renewOperator keeps the operator's key where it can: then one file is
// replaced, and no moment exists in which key and certificate do not fit. A
// new key goes first; until its certificate follows there is no operator, as
// there was none before.
func (h *Home) renewOperator(ca pki.CA) error {
	_, keyPEM, err := h.pair(operatorCert, operatorKey)
	if err != nil {
		return err
	}
	key, unusable := pki.ParseKey("operator's key", keyPEM)
	if unusable != nil {
		if key, err = pki.NewKey(h.random); err != nil {
			return err
		}
	}
	cert, err := ca.IssueOperator(h.random, h.now(), key)
	if err != nil {
		return err
	}
	if unusable != nil {
		if err := replace(h.disk, h.path(pkiFolder, operatorKey), key.PEM()); err != nil {
			return err
		}
	}
	return replace(h.disk, h.path(pkiFolder, operatorCert), cert)
}

// removePKI takes pki/ away in one rename, so that no crash leaves half a CA,
// and then deletes what is in it.
func (h *Home) removePKI() error {
	place, away := h.path(pkiFolder), h.path(pkiFolder+gone)
	if err := h.empty(away); err != nil {
		return unwritable(away, err)
	}
	err := checkFolder(place, self())
	if err == nil {
		err = h.checkNothingElse(place)
	}
	if err != nil {
		return orNone(err)
	}
	if err := h.disk.rename(place, away); err != nil {
		return unwritable(place, err)
	}
	if err := h.disk.syncDir(h.dir); err != nil {
		return unwritable(h.dir, err)
	}
	if err := h.empty(away); err != nil {
		return unwritable(away, err)
	}
	return nil
}

// pkiFiles are all names that we make in pki/, keys first.
func pkiFiles() []string {
	var names []string
	for _, n := range []string{caKey, operatorKey, caCert, operatorCert} {
		names = append(names, n, n+fresh)
	}
	return names
}

// checkNothingElse wants only our files in pki/.
func (h *Home) checkNothingElse(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return unreadable(dir, err)
	}
	for _, e := range entries {
		if !slices.Contains(pkiFiles(), e.Name()) {
			return &Error{Path: filepath.Join(dir, e.Name()), Problem: "not made by pleiad", Hint: "move it away", Kind: ErrForeign}
		}
	}
	return nil
}

// empty deletes our files in a folder beside pki/, and the folder.
func (h *Home) empty(dir string) error {
	if there, err := exists(dir); err != nil || !there {
		return err
	}
	for _, name := range pkiFiles() {
		if err := discard(h.disk, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return discard(h.disk, dir)
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
