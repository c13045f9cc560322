// Package testpki makes a CA and certificates for the tests of package
// discovery. Nothing of it is fit for use outside of tests.
package testpki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// CA signs the certificates of one test.
type CA struct {
	// File is the CA's certificate in PEM.
	File string

	folder string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

// Leaf is a certificate and its key in PEM.
type Leaf struct{ CertFile, KeyFile string }

// New makes a CA that keeps its files in a folder.
func New(folder string) (*CA, error) {
	ca := &CA{File: filepath.Join(folder, "ca.crt"), folder: folder}
	template := ca.template("test CA")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	if ca.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	ca.key = key
	return ca, writePEM(ca.File, "CERTIFICATE", der)
}

// Pool trusts this CA alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// Leaf makes a certificate for one host name, for servers and clients.
func (ca *CA) Leaf(host string) (Leaf, error) {
	leaf := Leaf{CertFile: filepath.Join(ca.folder, host+".crt"), KeyFile: filepath.Join(ca.folder, host+".key")}
	template := ca.template(host)
	template.DNSNames = []string{host}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return leaf, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return leaf, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return leaf, err
	}
	if err := writePEM(leaf.KeyFile, "PRIVATE KEY", private); err != nil {
		return leaf, err
	}
	return leaf, writePEM(leaf.CertFile, "CERTIFICATE", der)
}

func (ca *CA) template(name string) *x509.Certificate {
	ca.serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(ca.serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
