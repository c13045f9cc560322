package statedir

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/pki"
	"github.com/pleiad-etcd/pleiad/internal/world/authority"
)

var _ authority.Authority = (*Home)(nil)

// Inspect implements authority.Authority.
func (h *Home) Inspect(ctx context.Context) (cluster.Control, error) {
	if err := ctx.Err(); err != nil {
		return cluster.Control{}, fmt.Errorf("inspect home of cluster %s: %w", h.cluster, err)
	}
	m, err := h.meta()
	if errors.Is(err, ErrNone) {
		return cluster.Control{}, nil
	}
	if err != nil {
		return cluster.Control{}, err
	}
	control := cluster.Control{Owner: m.Owner, Copy: h.Copy()}
	cas, err := h.cas()
	if err != nil {
		return unusable(control, err), nil
	}
	if cas == nil {
		return control, nil
	}
	_, cert, err := h.operator(cas.clients)
	if err != nil {
		return unusable(control, err), nil
	}
	control.CA = cas.fingerprint()
	if cert != nil {
		window := pki.Window(cert)
		control.Operator = &window
	}
	return control, nil
}

// unusable says of a store that its keys cannot be used.
func unusable(c cluster.Control, err error) cluster.Control {
	c.Unusable = err.Error()
	if known, ok := errors.AsType[*Error](err); ok {
		c.Remedy = known.Hint
	}
	return c
}

// Create implements authority.Authority.
func (h *Home) Create(ctx context.Context, owner cluster.Owner, tls bool) error {
	m, err := h.begin(ctx, "create authority")
	if err != nil {
		return err
	}
	defer h.write.Unlock()
	if owner == "" {
		return fmt.Errorf("create authority of cluster %s: no owner given", h.cluster)
	}
	if m.Owner != "" && m.Owner != owner {
		return fmt.Errorf("create authority of cluster %s: it is owned as %s, not %s", h.cluster, m.Owner, owner)
	}
	if tls {
		if err := h.createPKI(); err != nil {
			return fmt.Errorf("create authority of cluster %s: %w", h.cluster, err)
		}
	}
	if m.Owner == owner {
		return nil
	}
	m.Owner = owner
	if err := h.setMeta(m); err != nil {
		return fmt.Errorf("create authority of cluster %s: %w", h.cluster, err)
	}
	return nil
}

// RenewOperator implements authority.Authority.
func (h *Home) RenewOperator(ctx context.Context) error {
	if _, err := h.begin(ctx, "renew operator"); err != nil {
		return err
	}
	defer h.write.Unlock()
	cas, err := h.mustCAs()
	if err != nil {
		return fmt.Errorf("renew operator of cluster %s: %w", h.cluster, err)
	}
	if err := h.renewOperator(cas.clients); err != nil {
		return fmt.Errorf("renew operator of cluster %s: %w", h.cluster, err)
	}
	return nil
}

// Issue implements authority.Authority. Each certificate has a key of its own:
// what one of them opens, the others do not.
func (h *Home) Issue(ctx context.Context, name cluster.MemberName, names []string) (node.Credentials, error) {
	if err := ctx.Err(); err != nil {
		return node.Credentials{}, fmt.Errorf("issue certificates of member %s: %w", name, err)
	}
	cas, err := h.mustCAs()
	if err != nil {
		return node.Credentials{}, fmt.Errorf("issue certificates of member %s: %w", name, err)
	}
	out := node.Credentials{PeerCA: cas.peers.PEM(), ClientCA: cas.clients.PEM()}
	now := h.now()
	for _, one := range []struct {
		pair  *node.Pair
		issue func(pki.Key) ([]byte, error)
	}{
		{&out.Peer, func(k pki.Key) ([]byte, error) { return cas.peers.IssuePeer(h.random, now, k, name, names) }},
		{&out.Server, func(k pki.Key) ([]byte, error) { return cas.clients.IssueServer(h.random, now, k, name, names) }},
		{&out.Gateway, func(k pki.Key) ([]byte, error) { return cas.clients.IssueGateway(h.random, now, k, name) }},
	} {
		key, err := pki.NewKey(h.random)
		if err != nil {
			return node.Credentials{}, fmt.Errorf("issue certificates of member %s: %w", name, err)
		}
		if one.pair.Cert, err = one.issue(key); err != nil {
			return node.Credentials{}, err
		}
		one.pair.Key = key.PEM()
	}
	return out, nil
}

// Client is what an application needs to be a client of the cluster, in PEM.
type Client struct {
	CA, Cert, Key []byte
	// NotAfter is when the certificate ends.
	NotAfter time.Time
}

// IssueClient makes the certificate of an application, with a fresh key or for
// one in PEM that it has, and stores neither. There must be CAs. A copy refuses: its CA may not be the
// one that members trust.
func (h *Home) IssueClient(ctx context.Context, app pki.Application, life time.Duration, key []byte) (Client, error) {
	act := fmt.Sprintf("issue certificate of application %s", app.Name)
	if err := ctx.Err(); err != nil {
		return Client{}, fmt.Errorf("%s: %w", act, err)
	}
	h.write.Lock()
	err := h.checkOriginal()
	h.write.Unlock()
	if err != nil {
		return Client{}, fmt.Errorf("%s: %w", act, err)
	}
	cas, err := h.mustCAs()
	if err != nil {
		return Client{}, fmt.Errorf("%s: %w", act, err)
	}
	var k pki.Key
	if key == nil {
		k, err = pki.NewKey(h.random)
	} else {
		k, err = pki.ParseKey("key", key)
	}
	if err != nil {
		return Client{}, fmt.Errorf("%s: %w", act, err)
	}
	out := Client{CA: cas.clients.PEM(), Key: k.PEM()}
	if out.Cert, err = cas.clients.IssueClient(h.random, h.now(), k, app, life); err != nil {
		return Client{}, err
	}
	cert, err := pki.ParseCertificate("certificate", out.Cert)
	if err != nil {
		return Client{}, fmt.Errorf("%s: %w", act, err)
	}
	out.NotAfter = cert.NotAfter
	return out, nil
}

// Forget implements authority.Authority.
func (h *Home) Forget(ctx context.Context) error {
	m, err := h.begin(ctx, "forget")
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.write.Unlock()
	if err := h.removePKI(); err != nil {
		return fmt.Errorf("forget cluster %s: %w", h.cluster, err)
	}
	if m.Owner == "" {
		return nil
	}
	m.Owner = ""
	if err := h.setMeta(m); err != nil {
		return fmt.Errorf("forget cluster %s: %w", h.cluster, err)
	}
	return nil
}

// begin starts a writing act: with the writer's mutex held if there is no
// error.
func (h *Home) begin(ctx context.Context, act string) (meta, error) {
	h.write.Lock()
	err := ctx.Err()
	if err != nil {
		err = fmt.Errorf("%s of cluster %s: %w", act, h.cluster, err)
	}
	var m meta
	if err == nil {
		m, err = h.meta()
	}
	if err == nil {
		err = h.checkOriginal()
	}
	if err != nil {
		h.write.Unlock()
	}
	return m, err
}

// Operator is what pleiad presents to members.
func (h *Home) Operator() (tls.Certificate, error) {
	cas, err := h.mustCAs()
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("operator of cluster %s: %w", h.cluster, err)
	}
	pair, _, err := h.operator(cas.clients)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("operator of cluster %s: %w", h.cluster, err)
	}
	if pair == nil {
		return tls.Certificate{}, &Error{Path: h.path(pkiFolder), Problem: "no operator's certificate that fits its key and the CA", Hint: "issue one", Run: "up", Kind: ErrDamaged}
	}
	return *pair, nil
}

// ClientTLS is how a client of the cluster talks to members: it presents the
// operator's certificate and trusts the cluster's CA for clients alone.
func (h *Home) ClientTLS() (*tls.Config, error) {
	cas, err := h.mustCAs()
	if err != nil {
		return nil, fmt.Errorf("operator of cluster %s: %w", h.cluster, err)
	}
	pair, err := h.Operator()
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(cas.clients.Certificate())
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: []tls.Certificate{pair}}, nil
}

// OperatorFiles are the paths of what any client of the cluster needs.
type OperatorFiles struct{ CA, Cert, Key string }

// OperatorFiles says where the operator's files are; there may be none yet.
func (h *Home) OperatorFiles() OperatorFiles {
	return OperatorFiles{CA: h.path(pkiFolder, clientCACert), Cert: h.path(pkiFolder, operatorCert), Key: h.path(pkiFolder, operatorKey)}
}
