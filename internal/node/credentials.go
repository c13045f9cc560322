package node

import "fmt"

// Names of the files with keys and certificates, below Paths.Config: whom the
// member trusts as its peers and what it presents to them; whom it lets in on
// the client port and what it presents there; and what etcd's JSON gateway
// presents to the etcd that it is part of.
const (
	PeerCAFile   = "pki/peer-ca.crt"
	PeerCertFile = "pki/peer.crt"
	PeerKeyFile  = "pki/peer.key"

	ClientCAFile   = "pki/client-ca.crt"
	ServerCertFile = "pki/server.crt"
	ServerKeyFile  = "pki/server.key"

	GatewayCertFile = "pki/gateway.crt"
	GatewayKeyFile  = "pki/gateway.key"
)

// CertFiles are the certificates that end and are issued again.
func CertFiles() []string { return []string{PeerCertFile, ServerCertFile, GatewayCertFile} }

// Credentials are a member's keys and certificates in PEM; secret (rule R15).
type Credentials struct {
	PeerCA, ClientCA      []byte
	Peer, Server, Gateway Pair
}

// Pair is a certificate and its key.
type Pair struct{ Cert, Key []byte }

// CredentialFile is one file of credentials, its name below Paths.Config.
type CredentialFile struct {
	Name    string
	Content []byte
}

// Files are what a host holds of them, in the order to be written: each key
// comes just before its certificate.
func (c Credentials) Files() []CredentialFile {
	return []CredentialFile{
		{PeerCAFile, c.PeerCA}, {ClientCAFile, c.ClientCA},
		{PeerKeyFile, c.Peer.Key}, {PeerCertFile, c.Peer.Cert},
		{ServerKeyFile, c.Server.Key}, {ServerCertFile, c.Server.Cert},
		{GatewayKeyFile, c.Gateway.Key}, {GatewayCertFile, c.Gateway.Cert},
	}
}

// Complete is an error if one of the files would be empty.
func (c Credentials) Complete() error {
	for _, f := range c.Files() {
		if len(f.Content) == 0 {
			return fmt.Errorf("credentials: %s is empty", f.Name)
		}
	}
	return nil
}
