// Package sshexectest is an SSH server for tests of package sshexec and of what
// is built on it: it runs commands with the local sh, as the user of the test,
// and misbehaves on demand.
//
//	server := sshexectest.Start(t, sshexectest.Options{Address: "192.0.2.1"})
//	pool := sshexec.New(sshexec.Config{SSHConfig: sshexectest.Config(t, server)})
//	pool.Machine(netip.MustParseAddr("192.0.2.1")).Run(…)
//
// [Start] opens a server and [Config] writes an ssh_config by which several of
// them pass for machines with addresses of their own. What it promises: like
// sshd it lets in only known keys, reports the exit status only when the
// command has ended, and keeps a command running whose client has gone, until
// it reads the end of its stdin or writes. It ends all that it started when the
// test ends. What it does not: nobody becomes root; commands that touch the
// machine must be intercepted ([Options.Handle], [Options.Rewrite]).
package sshexectest

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Options say what a server is. The zero value takes root with one fresh key.
type Options struct {
	// Address by which [Config] makes the server known; none if empty.
	Address string
	// Users that may log in; root by default.
	Users []string
	// Jump is the server that Config puts before this one.
	Jump *Server
	// Env holds more variables for the commands, "NAME=value".
	Env []string
	// Sudo says what sudo does there: "" runs the command, "password" asks for
	// one, "missing" is as if there were no sudo, "terminal" asks for one, "nobody"
	// does not know the user, and "broken" does not run at all.
	Sudo string
	// Shell is the users' login shell, which sshd gives the command line after
	// "-c"; sh by default.
	Shell string
	// Login is a script that a user's shell runs before each command, as bash
	// does with ~/.bashrc.
	Login string
	// Rewrite, if not nil, changes a command line before it runs.
	Rewrite func(user, line string) string
	// Handle, if not nil, may take a command over: its exit status counts if
	// handled is true.
	Handle func(Command) (status int, handled bool)
	// HostKeys are the server's; one fresh Ed25519 key by default. A
	// certificate is shown beside the key by a signer with it.
	HostKeys []ssh.Signer
	// Silent lets the server take connections and never speak.
	Silent bool
	// Greets and Admits, if not nil, let the server wait until they are closed before
	// it says who it is, and before it looks at a key.
	Greets, Admits <-chan struct{}
	// More lets the server ask for more than a key, once it has one.
	More bool
	// NoForwarding lets it refuse to be a jump host.
	NoForwarding bool
}

// Server is a running server.
type Server struct {
	// Addr is its TCP address, Port the port of it.
	Addr string
	Port uint16
	// Fingerprint of its first host key: "SHA256:…".
	Fingerprint string
	// KeyFile is a private key that logs in; KnownHosts a file with the
	// server's host keys.
	KeyFile    string
	KnownHosts string

	options  Options
	listener net.Listener
	config   *ssh.ServerConfig
	folder   string
	serving  sync.WaitGroup
	ending   chan struct{} // closed when the test ends

	mu      sync.Mutex // guards what follows
	allowed []ssh.PublicKey
	conns   map[*gated]struct{}
	dialled int
	frozen  chan struct{} // closed while the server runs
	logins  []string
	lines   []string
	hangUp  bool // instead of answering the next request for a forward
}

// Start starts a server on a loopback port, until the test ends.
func Start(t *testing.T, o Options) *Server {
	t.Helper()
	folder := t.TempDir()
	s := &Server{options: o, folder: folder, conns: map[*gated]struct{}{}, frozen: make(chan struct{}), ending: make(chan struct{}),
		KeyFile: filepath.Join(folder, "id_ed25519"), KnownHosts: filepath.Join(folder, "known_hosts")}
	close(s.frozen)
	if len(s.options.Users) == 0 {
		s.options.Users = []string{"root"}
	}
	if len(o.HostKeys) == 0 {
		s.options.HostKeys = []ssh.Signer{NewKey(t, "")}
	}
	s.Allow(NewKey(t, s.KeyFile).PublicKey())
	s.writeSudo(t)
	s.config = &ssh.ServerConfig{PublicKeyCallback: s.authenticate}
	for _, k := range s.options.HostKeys {
		s.config.AddHostKey(k)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.listener, s.Addr, s.Port = l, l.Addr().String(), uint16(l.Addr().(*net.TCPAddr).Port)
	s.Fingerprint = ssh.FingerprintSHA256(s.options.HostKeys[0].PublicKey())
	s.writeKnownHosts(t)
	s.serving.Go(s.accept)
	t.Cleanup(s.stop)
	return s
}

func (s *Server) writeKnownHosts(t *testing.T) {
	t.Helper()
	var lines strings.Builder
	for _, k := range s.options.HostKeys {
		if _, certified := k.PublicKey().(*ssh.Certificate); !certified {
			fmt.Fprintln(&lines, knownhosts.Line([]string{s.Addr}, k.PublicKey()))
		}
	}
	if err := os.WriteFile(s.KnownHosts, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// NewKey makes an Ed25519 key and writes it to a file, unless that is "".
func NewKey(t *testing.T, file string) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return WriteKey(t, file, private, "")
}

// WriteKey writes a private key as ssh-keygen does, encrypted if there is a
// passphrase, and returns it.
func WriteKey(t *testing.T, file string, private any, passphrase string) ssh.Signer {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if file == "" {
		return signer
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	if err == nil {
		err = os.WriteFile(file, pem.EncodeToMemory(block), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// Config writes an ssh_config by which the servers have their Address and log
// in with their key, and returns its path.
func Config(t *testing.T, servers ...*Server) string {
	t.Helper()
	var b strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&b, "Host %s\n  HostName 127.0.0.1\n  Port %d\n  User %s\n  IdentityFile %q\n  IdentityAgent none\n  UserKnownHostsFile %q\n  GlobalKnownHostsFile none\n",
			cmp.Or(s.options.Address, s.Addr), s.Port, s.options.Users[0], s.KeyFile, s.KnownHosts)
		if j := s.options.Jump; j != nil {
			fmt.Fprintf(&b, "  ProxyJump %s\n", j.options.Address)
		}
	}
	file := filepath.Join(t.TempDir(), "ssh_config")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Allow lets a key in, for all users. Of a certificate the key counts.
func (s *Server) Allow(key ssh.PublicKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed = append(s.allowed, key)
}

// Forbid lets no key in any more.
func (s *Server) Forbid() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed = nil
}

// Dialled is how many TCP connections there were so far.
func (s *Server) Dialled() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dialled
}

// Lines are the command lines that came, in order.
func (s *Server) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

// Offered are the keys that clients tried to log in with, as "user SHA256:…".
func (s *Server) Offered() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.logins)
}

// Freeze stops the server as pausing its host does: TCP connections stay and
// are taken, nothing is read or answered.
func (s *Server) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = make(chan struct{})
}

// Thaw ends Freeze.
func (s *Server) Thaw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.frozen:
	default:
		close(s.frozen)
	}
}

// Drop ends all connections without a word. Commands go on.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// DropAtForward lets the server end all connections without a word when it is
// next asked to be a jump host.
func (s *Server) DropAtForward() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangUp = true
}

func (s *Server) hangsUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	hangUp := s.hangUp
	s.hangUp = false
	return hangUp
}

func (s *Server) stop() {
	close(s.ending)
	s.listener.Close()
	s.Thaw()
	s.Drop()
	s.serving.Wait()
}

// gated is a connection that is blocked while its server is frozen.
type gated struct {
	net.Conn
	server *Server
	closed chan struct{}
	once   sync.Once
}

func (g *gated) wait() {
	g.server.mu.Lock()
	running := g.server.frozen
	g.server.mu.Unlock()
	select {
	case <-running:
	case <-g.closed:
	}
}

func (g *gated) Read(b []byte) (int, error) {
	g.wait()
	n, err := g.Conn.Read(b)
	g.wait() // what came during a freeze is not looked at
	return n, err
}

func (g *gated) Write(b []byte) (int, error) {
	g.wait()
	return g.Conn.Write(b)
}

func (g *gated) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Conn.Close()
}
