// Package nameserver runs the name servers that people have, BIND, Knot and
// PowerDNS as Debian ships them, as foreground processes for tests: one
// primary zone, one TSIG key, and the narrowest grant to that key which the
// server can express.
//
// [New] writes what a server needs into a folder, [Server.Start] and
// [Server.Stop] run it, any number of times: the zone outlives them, as it
// would on a machine of its own. Where a server runs is its user's business:
// a test on loopback leaves [Config].Command and Dial out, one on a test bed
// hands in those of the bed.
package nameserver

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	wire "github.com/miekg/dns"
)

// Kind is a name server program.
type Kind string

const (
	BIND     Kind = "BIND"
	Knot     Kind = "Knot"
	PowerDNS Kind = "PowerDNS"
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{BIND, Knot, PowerDNS} }

// KeyName is the name of the key that may change the zone.
const KeyName = "pleiad"

// startLimit bounds how long a server may take until it answers; they take
// about a second on a busy machine.
const startLimit = 30 * time.Second

// Config says what a server serves, to whom, and where it runs.
type Config struct {
	Kind Kind
	// Dir is the server's own folder: configuration, key, zone and log.
	Dir string
	// At is where it listens, over UDP and TCP: the very address of an
	// interface, as BIND does not listen on others, such as 127.0.0.2.
	At netip.AddrPort
	// Zone is the one zone it serves, such as "bed.example.".
	Zone string
	// Domain lies in the zone, such as "c1.bed.example."; the key may change
	// A, AAAA, SRV and TXT records at it and below it, and nothing else.
	// PowerDNS cannot say so: there, the key may change the whole zone.
	Domain string
	// Clients are those who may ask and update.
	Clients netip.Prefix

	// Command runs a program where At is one of its addresses. Default:
	// [exec.CommandContext].
	Command func(ctx context.Context, name string, args ...string) *exec.Cmd
	// Dial connects to At. Default: that of [net.Dialer].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Server is one name server; it may be running or not.
type Server struct {
	config  Config
	secret  string
	running *exec.Cmd
	ended   chan error // receives what running's Wait returned
}

// New writes the files of a server into an empty folder.
func New(ctx context.Context, c Config) (*Server, error) {
	if c.Command == nil {
		c.Command = exec.CommandContext
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	c.Zone, c.Domain = wire.CanonicalName(c.Zone), wire.CanonicalName(c.Domain)
	if !wire.IsSubDomain(c.Zone, c.Domain) || c.Zone == c.Domain {
		return nil, fmt.Errorf("make name server: %s is not below %s", c.Domain, c.Zone)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	s := &Server{config: c, secret: base64.StdEncoding.EncodeToString(secret)}
	if err := s.write(ctx); err != nil {
		return nil, fmt.Errorf("make name server %s: %w", c.Kind, err)
	}
	return s, nil
}

func (s *Server) write(ctx context.Context) error {
	// Knot does not make the folder of its journal.
	if err := os.MkdirAll(s.path("db"), 0o700); err != nil {
		return err
	}
	files := map[string]string{"key": s.keyText(), "zone": s.zoneText()}
	switch s.config.Kind {
	case BIND:
		files["named.conf"] = s.bind()
	case Knot:
		files["knot.conf"] = s.knot()
	case PowerDNS:
		files["pdns.conf"] = s.powerDNS()
	default:
		return errors.New("no such server")
	}
	for name, text := range files {
		if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if s.config.Kind == PowerDNS {
		return s.fill(ctx)
	}
	return nil
}

func (s *Server) path(name string) string { return filepath.Join(s.config.Dir, name) }

// KeyFile is the key that may change the zone, as tsig-keygen writes it.
func (s *Server) KeyFile() string { return s.path("key") }

// Addr is where the server listens.
func (s *Server) Addr() netip.AddrPort { return s.config.At }

func (s *Server) keyText() string {
	return fmt.Sprintf("key %q {\n\talgorithm hmac-sha256;\n\tsecret %q;\n};\n", KeyName, s.secret)
}

// zoneText has a short negative TTL, so that tests need not wait for long
// until a name that was asked for too early is seen.
func (s *Server) zoneText() string {
	return fmt.Sprintf("$ORIGIN %s\n$TTL 60\n@ IN SOA ns1 hostmaster 1 3600 600 86400 5\n@ IN NS ns1\nns1 IN A %s\nwww IN A 192.0.2.80\n",
		s.config.Zone, s.config.At.Addr())
}

func (s *Server) argv() (name string, args []string) {
	switch s.config.Kind {
	case BIND:
		return "named", []string{"-g", "-4", "-n", "1", "-c", s.path("named.conf")}
	case Knot:
		return "knotd", []string{"-c", s.path("knot.conf")}
	}
	return "pdns_server", []string{"--config-dir=" + s.config.Dir}
}

// Start runs the server and waits until it answers for its zone. A server that
// runs already is an error.
func (s *Server) Start(ctx context.Context) error {
	if s.running != nil {
		return fmt.Errorf("start %s: it runs already", s.config.Kind)
	}
	log, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.config.Kind, err)
	}
	defer log.Close()
	name, args := s.argv()
	// It lives until it is stopped, not as long as whoever started it waits.
	cmd := s.config.Command(context.WithoutCancel(ctx), name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.config.Kind, err)
	}
	s.running, s.ended = cmd, make(chan error, 1)
	go func(ended chan<- error) { ended <- cmd.Wait() }(s.ended)
	if err := s.answering(ctx); err != nil {
		s.Kill()
		return fmt.Errorf("start %s: %w\n%s", s.config.Kind, err, s.Log())
	}
	return nil
}

// answering waits until the server answers for its zone.
func (s *Server) answering(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		err := s.askSOA(ctx)
		if err == nil {
			return nil
		}
		select {
		case ended := <-s.ended:
			s.ended <- ended // for Kill
			return fmt.Errorf("it ended: %w", ended)
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *Server) askSOA(ctx context.Context) error {
	conn, err := s.config.Dial(ctx, "tcp", s.config.At.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	c := &wire.Conn{Conn: conn}
	if err := c.WriteMsg(new(wire.Msg).SetQuestion(s.config.Zone, wire.TypeSOA)); err != nil {
		return err
	}
	m, err := c.ReadMsg()
	if err == nil && (!m.Authoritative || len(m.Answer) != 1) {
		err = fmt.Errorf("it does not answer for %s: %s", s.config.Zone, wire.RcodeToString[m.Rcode])
	}
	return err
}

// Stop ends the server in order; its zone stays. It does nothing if the server
// does not run.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Kill ends it as a power cut would.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

func (s *Server) end(signal syscall.Signal) {
	if s.running == nil {
		return
	}
	// Fails only if it is gone, which is what is wanted.
	_ = s.running.Process.Signal(signal)
	select {
	case <-s.ended:
	case <-time.After(10 * time.Second):
		_ = s.running.Process.Kill()
		<-s.ended
	}
	s.running = nil
}

// Log is what the server has said, without its key.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.path("log"))
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(text), s.secret, "SECRET")
}
