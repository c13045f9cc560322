package member

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/pki"
)

// keys are the CAs of a cluster.
type keys struct {
	peers   pki.PeerCA
	clients pki.ClientCA
}

func newKeys(t *testing.T, name cluster.Name) keys {
	t.Helper()
	peers, errPeers := pki.NewPeerCA(rand.Reader, time.Now(), name)
	clients, errClients := pki.NewClientCA(rand.Reader, time.Now(), name)
	if err := errors.Join(errPeers, errClients); err != nil {
		t.Fatal(err)
	}
	return keys{peers, clients}
}

// pair is a key with its certificate, in PEM.
type pair struct{ cert, key []byte }

func newPair(t *testing.T, issue func(pki.Key) ([]byte, error)) pair {
	t.Helper()
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := issue(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{cert, key.PEM()}
}

func (k keys) client(t *testing.T, app pki.Application, life time.Duration) pair {
	t.Helper()
	return newPair(t, func(key pki.Key) ([]byte, error) {
		return k.clients.IssueClient(rand.Reader, time.Now(), key, app, life)
	})
}

func (k keys) operator(t *testing.T) pair {
	t.Helper()
	return newPair(t, func(key pki.Key) ([]byte, error) { return k.clients.IssueOperator(rand.Reader, time.Now(), key) })
}

// issue puts a member's credentials where its node wants them, and returns them.
func (k keys) issue(t *testing.T, n node.Node) node.Credentials {
	t.Helper()
	issued := func(issue func(pki.Key) ([]byte, error)) node.Pair {
		p := newPair(t, issue)
		return node.Pair{Cert: p.cert, Key: p.key}
	}
	c := node.Credentials{
		PeerCA: k.peers.PEM(), ClientCA: k.clients.PEM(),
		Peer: issued(func(key pki.Key) ([]byte, error) {
			return k.peers.IssuePeer(rand.Reader, time.Now(), key, n.Name, n.Names)
		}),
		Server: issued(func(key pki.Key) ([]byte, error) {
			return k.clients.IssueServer(rand.Reader, time.Now(), key, n.Name, n.Names)
		}),
		Gateway: issued(func(key pki.Key) ([]byte, error) {
			return k.clients.IssueGateway(rand.Reader, time.Now(), key, n.Name)
		}),
	}
	for _, f := range c.Files() {
		write(t, filepath.Join(n.Paths.Config, f.Name), f.Content)
	}
	return c
}

// config presents a pair and trusts whoever answers, so that only the server
// can refuse; the zero pair presents none.
func (p pair) config(t *testing.T) *tls.Config {
	t.Helper()
	c := &tls.Config{InsecureSkipVerify: true}
	if p.cert != nil {
		one, err := tls.X509KeyPair(p.cert, p.key)
		if err != nil {
			t.Fatal(err)
		}
		// Not Certificates: of those Go presents only what the server says it would accept.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &one, nil }
	}
	return c
}

// post asks over HTTPS, or gets where there is no body.
func post(t *testing.T, config *tls.Config, url, body string, header http.Header) (int, string, error) {
	t.Helper()
	c := http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: config}}
	defer c.CloseIdleConnections()
	method := http.MethodPost
	if body == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header.Clone()
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// secured is one real member with TLS, serving.
type secured struct {
	*running
	keys
	host         cluster.Host
	creds        node.Credentials
	client, peer string // URLs
}

func newSecured(t *testing.T) secured {
	t.Helper()
	s := spec(1)
	s.TLS = true
	h := newHost(t, "etcd-a")
	var records []string
	for _, r := range publish([]cluster.Host{h}) {
		records = append(records, strings.ReplaceAll(r, "_etcd-server.", "_etcd-server-ssl."))
	}
	dns := newNameServer(t, records...)
	n := node.Render(s, marker(cluster.Bootstrapping), []cluster.Host{h}, h, dns.addr)
	out := secured{keys: newKeys(t, s.Cluster), host: h,
		client: fmt.Sprintf("https://%s:%d", h.Address, h.Ports.Client), peer: fmt.Sprintf("https://%s:%d", h.Address, h.Ports.Peer)}
	out.creds = out.issue(t, n)
	install(t, n)
	out.running = launch(t, n)
	until(t, "health", out.healthy)
	return out
}

func of(p node.Pair) pair { return pair{p.Cert, p.Key} }

// Rule R15: each port takes the keys of its own CA alone, and what a member
// presents as a server opens nothing.
func TestPortsTakeOnlyTheirKeys(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	stranger := newKeys(t, "dev")
	for _, c := range []struct {
		what                     string
		pair                     pair
		onClientPort, onPeerPort bool
	}{
		{"the operator", s.operator(t), true, false},
		{"an application", s.keys.client(t, pki.Application{Name: "patroni"}, time.Hour), true, false},
		{"an application without a user", s.keys.client(t, pki.Application{Name: "patroni", NoUser: true}, time.Hour), true, false},
		{"the gateway", of(s.creds.Gateway), true, false},
		{"a member as a server", of(s.creds.Server), false, false},
		{"a member as a peer", of(s.creds.Peer), false, true},
		{"another cluster's operator", stranger.operator(t), false, false},
		{"nobody", pair{}, false, false},
	} {
		for _, port := range []struct {
			name, url string
			want      bool
		}{{"client", s.client + "/version", c.onClientPort}, {"peer", s.peer + "/members", c.onPeerPort}} {
			code, body, err := post(t, c.pair.config(t), port.url, "", nil)
			if port.want && (err != nil || code != http.StatusOK) {
				t.Errorf("%s on the %s port: %d %s, %v, want that it is let in", c.what, port.name, code, body, err)
			}
			if !port.want && err == nil {
				t.Errorf("%s on the %s port: %d %s, want that it is refused", c.what, port.name, code, body)
			}
		}
	}
	for _, c := range []struct {
		url, what string
		ca        pki.CA
		want      bool
	}{
		{s.client + "/version", "client port to a client", s.clients.CA, true},
		{s.client + "/version", "client port to a peer", s.peers.CA, false},
		{s.peer + "/members", "peer port to a peer", s.peers.CA, true},
		{s.peer + "/members", "peer port to a client", s.clients.CA, false},
	} {
		both := of(s.creds.Peer).config(t)
		if c.url == s.client+"/version" {
			both = s.operator(t).config(t)
		}
		pool := x509.NewCertPool()
		pool.AddCert(c.ca.Certificate())
		both.InsecureSkipVerify, both.RootCAs = false, pool
		if _, _, err := post(t, both, c.url, "", nil); (err == nil) != c.want {
			t.Errorf("the %s is who it should be: %v, want %t", c.what, err, c.want)
		}
	}
}

// etcd's JSON API calls the client port in a client's place, and so needs a
// certificate for itself; with authentication turned on that one has no rights
// of its own, and a client whose certificate names a user is sent away.
func TestJSONGateway(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	app := s.keys.client(t, pki.Application{Name: "patroni"}, time.Hour)
	nobody := s.keys.client(t, pki.Application{Name: "patroni", NoUser: true}, time.Hour)
	put := func(p pair, header http.Header) (int, string) {
		t.Helper()
		code, body, err := post(t, p.config(t), s.client+"/v3/kv/put", `{"key": "YQ==", "value": "Yg=="}`, header)
		if err != nil {
			t.Fatal(err)
		}
		return code, body
	}
	for what, p := range map[string]pair{"an application": app, "an application without a user": nobody} {
		if code, body := put(p, nil); code != http.StatusOK {
			t.Errorf("put by %s: %d %s", what, code, body)
		}
	}
	s.enableAuth(t)
	if code, body := put(app, nil); code != http.StatusBadRequest || !strings.Contains(body, "CommonName") {
		t.Errorf("put by an application whose certificate names its user: %d %s, want that etcd takes no such certificate", code, body)
	}
	// Without the header Accept etcd takes the common name of the gateway's own
	// certificate for the user: it must be nobody's.
	for _, c := range []struct {
		header http.Header
		want   string
	}{{nil, "permission denied"}, {http.Header{"Accept": {"*/*"}}, "user name is empty"}} {
		if code, body := put(nobody, c.header); code == http.StatusOK || !strings.Contains(body, c.want) {
			t.Errorf("put without a login, header %v: %d %s, want %q", c.header, code, body, c.want)
		}
	}
	code, body, err := post(t, nobody.config(t), s.client+"/v3/auth/authenticate", `{"name": "patroni", "password": "secret"}`, nil)
	_, rest, _ := strings.Cut(body, `"token":"`)
	token, _, _ := strings.Cut(rest, `"`)
	if err != nil || code != http.StatusOK || token == "" {
		t.Fatalf("login: %d %s, %v", code, body, err)
	}
	if code, body := put(nobody, http.Header{"Authorization": {token}}); code != http.StatusOK {
		t.Errorf("put after a login: %d %s", code, body)
	}
}

// enableAuth turns authentication on, as docs/certificates.md says, with a user
// patroni that may do everything with the key "a".
func (s secured) enableAuth(t *testing.T) {
	t.Helper()
	conn, err := grpc.NewClient(strings.TrimPrefix(s.client, "https://"), grpc.WithTransportCredentials(credentials.NewTLS(s.operator(t).config(t))))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	auth := pb.NewAuthClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	call := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, user := range []string{"root", pki.OperatorName} {
		call(auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: user, Options: &authpb.UserAddOptions{NoPassword: true}}))
		call(auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: user, Role: "root"}))
	}
	call(auth.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: "a"}))
	call(auth.RoleGrantPermission(ctx, &pb.AuthRoleGrantPermissionRequest{Name: "a", Perm: &authpb.Permission{PermType: authpb.READWRITE, Key: []byte("a")}}))
	call(auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "patroni", Password: "secret"}))
	call(auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: "patroni", Role: "a"}))
	call(auth.AuthEnable(ctx, &pb.AuthEnableRequest{}))
}
