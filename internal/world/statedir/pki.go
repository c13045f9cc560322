package statedir

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/pki"
)

// Files in pki/.
const (
	peerCACert   = "peer-ca.crt"
	peerCAKey    = "peer-ca.key"
	clientCACert = "client-ca.crt"
	clientCAKey  = "client-ca.key"
	operatorCert = "operator.crt"
	operatorKey  = "operator.key"
)

// authorities are the two CAs of a cluster. They are made together and go
// together.
type authorities struct {
	peers   pki.PeerCA
	clients pki.ClientCA
}

func (a authorities) fingerprint() string { return pki.Fingerprint(a.peers, a.clients) }

// mustCAs are the stored CAs, or an error.
func (h *Home) mustCAs() (authorities, error) {
	cas, err := h.cas()
	switch {
	case err == nil && cas == nil && h.Claimed(): // up refuses: members trust the CAs that there were
		err = &Error{Path: h.path(pkiFolder), Problem: "there is no CA", Hint: restore, Kind: ErrDamaged}
	case err == nil && cas == nil:
		err = &Error{Path: h.path(pkiFolder), Problem: "there is no CA", Hint: "make one, unless the spec says tls: off", Run: "up"}
	}
	if err != nil {
		return authorities{}, err
	}
	return *cas, nil
}

// cas reads the stored CAs; nil if there are none. Some of their four files
// without the others is damage, never absence: nothing we do leaves that behind.
func (h *Home) cas() (*authorities, error) {
	var files [4][]byte // in the order of the names below
	var err error
	if files[0], files[1], err = h.pair(peerCACert, peerCAKey); err != nil {
		return nil, err
	}
	if files[2], files[3], err = h.pair(clientCACert, clientCAKey); err != nil {
		return nil, err
	}
	missing, hint, found := "", restore+", and members trust those CAs", false
	for i, name := range []string{peerCACert, peerCAKey, clientCACert, clientCAKey} {
		found = found || files[i] != nil
		if files[i] == nil && (missing == "" || strings.HasSuffix(name, ".key")) {
			missing = name
		}
	}
	if strings.HasSuffix(missing, ".crt") {
		hint = "each member has a copy of it, in the folder pki beside its member.json; put one here"
	}
	switch {
	case !found:
		return nil, nil
	case missing != "":
		return nil, &Error{Path: h.path(pkiFolder, missing), Problem: "missing, but the rest of the CAs is there",
			Hint: hint, Kind: ErrDamaged}
	}
	var cas authorities
	if cas.peers, err = pki.ParsePeerCA(files[0], files[1]); err == nil {
		cas.clients, err = pki.ParseClientCA(files[2], files[3])
	}
	if err != nil {
		return nil, &Error{Path: h.path(pkiFolder), Problem: err.Error(), Hint: restore, Kind: ErrDamaged}
	}
	return &cas, nil
}

// operator reads the operator's pair; nil if it is missing, does not parse, or is
// from another CA. It can be issued again at any time.
func (h *Home) operator(ca pki.ClientCA) (*tls.Certificate, *x509.Certificate, error) {
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
	if info, err := os.Lstat(h.path(pkiFolder)); err == nil && !info.IsDir() {
		// It may lead to the CAs. If it were moved away, new ones would be made.
		return nil, nil, &Error{Path: h.path(pkiFolder), Problem: fmt.Sprintf("want a folder, not a %s", kind(info)),
			Hint: "put the folder itself there, or " + restore, Kind: ErrForeign}
	}
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

// createPKI makes pki/ with the CAs and the operator's pair in one rename, or,
// where there are CAs, just what is missing of the operator.
func (h *Home) createPKI() error {
	cas, err := h.cas()
	if err != nil {
		return err
	}
	if cas != nil {
		pair, _, err := h.operator(cas.clients)
		if err != nil || pair != nil {
			return err
		}
		return h.renewOperator(cas.clients)
	}
	if err := h.checkEmpty(); err != nil {
		return err
	}
	// A CA is valid from ten years ago to ten years from now: only a clock that has
	// lost the time makes one that is invalid by the right time. There is no member
	// yet whose clock could be compared.
	if now := h.now(); now.Before(written()) {
		return &Error{Path: h.path(pkiFolder), Problem: fmt.Sprintf("not made: the clock of this machine says %s", now.UTC().Format(time.DateTime)),
			Hint: "correct the clock, then run the command again"}
	}
	files, err := h.newPKI()
	if err != nil {
		return err
	}
	return h.placePKI(files)
}

// written is when this line was written: a clock before that is wrong.
func written() time.Time { return time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC) }

// checkEmpty refuses a pki/ with something in it, and removes an empty one.
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

// newPKI makes the CAs and an operator.
func (h *Home) newPKI() ([]file, error) {
	peers, err := pki.NewPeerCA(h.random, h.now(), h.cluster)
	if err != nil {
		return nil, err
	}
	clients, err := pki.NewClientCA(h.random, h.now(), h.cluster)
	if err != nil {
		return nil, err
	}
	key, err := pki.NewKey(h.random)
	if err != nil {
		return nil, err
	}
	cert, err := clients.IssueOperator(h.random, h.now(), key)
	if err != nil {
		return nil, err
	}
	return []file{{peerCACert, peers.PEM()}, {peerCAKey, peers.Key().PEM()}, {clientCACert, clients.PEM()}, {clientCAKey, clients.Key().PEM()},
		{operatorCert, cert}, {operatorKey, key.PEM()}}, nil
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

// renewOperator keeps the operator's key if it can: then only one file is replaced,
// and key and certificate always match. A new key is written first; until its
// certificate follows there is no operator, as before.
func (h *Home) renewOperator(ca pki.ClientCA) error {
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

// removePKI moves pki/ away in one rename, so that no crash leaves half a CA, and
// then deletes what is in it.
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
	for _, n := range []string{peerCAKey, clientCAKey, operatorKey, peerCACert, clientCACert, operatorCert} {
		names = append(names, n, n+fresh)
	}
	return names
}

// checkNothingElse refuses a pki/ with files that are not ours.
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
