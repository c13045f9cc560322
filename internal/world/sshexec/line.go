package sshexec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

// line is the way to one sshd: a connection that is dialled when asked for,
// shared by all who ask, and dialled anew once it is lost.
type line struct {
	pool   *Pool
	target target

	mu      sync.Mutex // guards what follows
	conn    *connection
	dialing *attempt // nil while nobody dials
	stage   stage    // of the dial that is under way
}

// attempt is a dial that is under way; once done is closed, the rest holds.
type attempt struct {
	done chan struct{}
	conn *connection
	err  error
}

// connect is the line's connection. fresh says that it was dialled for this
// call or while it waited. If ctx ends first, the dial goes on for the others.
func (l *line) connect(ctx context.Context) (c *connection, fresh bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, unsent(ctx)
	}
	l.mu.Lock()
	if l.conn != nil && l.conn.usable() {
		defer l.mu.Unlock()
		return l.conn, false, nil
	}
	a := l.dialing
	if a == nil {
		a = &attempt{done: make(chan struct{})}
		if !l.pool.run(func() { l.attempt(a) }) {
			l.mu.Unlock()
			return nil, false, fmt.Errorf("%w: %w", ErrUnreachable, errClosed)
		}
		l.dialing, l.stage = a, stage{}
	}
	l.mu.Unlock()
	select {
	case <-a.done:
		return a.conn, true, a.err
	case <-ctx.Done():
		return nil, false, l.late(ctx)
	}
}

// unsent is the error of a call whose ctx ended before anything was sent. A
// caller's own change of mind says nothing about the machine.
func unsent(ctx context.Context) error {
	if err := context.Cause(ctx); errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, context.Cause(ctx))
}

func (l *line) attempt(a *attempt) {
	began := time.Now()
	a.conn, a.err = l.dial(l.pool.life)
	l.pool.trace("dial", "host "+l.target.host, began, a.err)
	l.mu.Lock()
	l.conn, l.dialing = a.conn, nil
	l.mu.Unlock()
	close(a.done)
}

// maxHops bounds the chain of jump hosts, since it may lead back to itself.
const maxHops = 8

func (l *line) dial(ctx context.Context) (*connection, error) {
	r, err := l.pool.route(ctx, l.target)
	if err != nil {
		return nil, err
	}
	next := r
	for hops := 0; next.via != nil; hops++ {
		if hops == maxHops {
			return nil, setupError("write ProxyJump none for the last jump host", "more than %d jump hosts: the chain leads back to itself", maxHops)
		}
		if next, err = l.pool.route(ctx, *next.via); err != nil {
			return nil, err
		}
	}
	if r.via == nil {
		return l.login(ctx, r, nil)
	}
	for {
		before := l.pool.lineTo(*r.via)
		l.reach(stage{r: r, behind: before})
		hop, fresh, err := before.connect(ctx)
		if err != nil {
			return nil, fmt.Errorf("jump host %s: %w", r.via.host, err)
		}
		release := hop.use()
		c, err := l.login(ctx, r, hop)
		release()
		if err == nil || fresh || hop.usable() {
			return c, err
		}
		// It was lost while idle: this machine was not asked to run anything.
	}
}

// login connects and logs in. Where fingerprints are configured, nobody knows
// of which types they are: a host whose key does not fit is asked for its keys
// of other types too.
func (l *line) login(ctx context.Context, r route, hop *connection) (*connection, error) {
	ctx, cancel := bounded(ctx, l.pool.config.Login)
	defer cancel()
	section := l.pool.config.Section
	if l.pool.config.Vouch != nil {
		section = "" // which has no keys for this
	}
	keys, err := readHostKeys(r.name, r.knownHosts, l.pool.config.Fingerprints, section)
	if err != nil {
		return nil, err
	}
	if keys.revoked, err = readRevoked(ctx, r.revoked); err != nil {
		return nil, err
	}
	if l.target.vouched != "" {
		vouched, err := l.pool.config.Vouch(l.target.vouched)
		if err != nil {
			return nil, err
		}
		keys.vouched = &vouched
	}
	var first error
	var tried []string
	for {
		c, err := l.handshake(ctx, r, hop, keys, keys.algorithms(tried))
		var wrong *HostKeyError
		var none *ssh.AlgorithmNegotiationError
		switch {
		case errors.As(err, &none) && first != nil:
			return nil, first
		case !errors.As(err, &wrong) || wrong.Problem == KeyRevoked || keys.vouched != nil || len(keys.fingerprints) == 0:
			return c, err
		case first == nil:
			first = err
		}
		tried = append(tried, wrong.Type)
	}
}

func (l *line) handshake(ctx context.Context, r route, hop *connection, keys *hostKeys, algorithms []string) (*connection, error) {
	at := stage{r: r, login: l.loginCommand()}
	l.reach(at)
	raw, err := transport(ctx, r, hop)
	if err != nil {
		return nil, err
	}
	at.connected = true
	l.reach(at)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	exchanged := func() bool { return true }
	if r.exchange > 0 {
		exchanged = time.AfterFunc(r.exchange, func() { cancel(fmt.Errorf("%w of %s", errConnectTimeout, r.exchange)) }).Stop
	}
	defer exchanged()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	heard := listen(raw)
	var refused error
	accepted := false
	ids, closing := &identities{}, func() {}
	client, channels, requests, err := ssh.NewClientConn(heard, r.name, &ssh.ClientConfig{
		User:              r.user,
		HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			exchanged()
			refused = keys.judge(key)
			accepted = refused == nil
			at.trusted = accepted
			l.reach(at)
			return refused
		},
		Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
			ids, closing = gather(ctx, r)
			return ids.signers, nil
		})},
	})
	closing()
	switch {
	case refused != nil:
		return nil, refused
	case err == nil && stop():
		return l.pool.newConnection(ssh.NewClient(client, channels, requests), r.user, at.login, heard)
	case ctx.Err() != nil:
		return nil, l.tooLate(context.Cause(ctx))
	case accepted && !broken(err):
		return nil, l.denied(r, ids, err)
	}
	return nil, noSSH(r, err)
}

// errConnectTimeout is why a key exchange is given up as ssh would give it up.
var errConnectTimeout = errors.New("no answer within ConnectTimeout of ssh_config")

// tooLate is the error of a dial that was given up by its own limits.
func (l *line) tooLate(cause error) error {
	if errors.Is(cause, errConnectTimeout) {
		return l.reached().late(cause, "or raise ConnectTimeout in ssh_config")
	}
	return l.reached().late(cause)
}

// broken says that the connection ended, rather than that sshd said no.
func broken(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET)
}

// unreachable is the error of a machine that cannot be talked to.
func unreachable(r route, err error) error {
	var dial *net.OpError
	if errors.As(err, &dial) {
		err = dial.Err // the rest of its text would name the address once more
	}
	host, port := r.hostAndPort()
	return fault.WithRemedy(fmt.Errorf("%w at %s: %w", ErrUnreachable, r.address, err),
		"see whether the host is up and its sshd listens: nc -vz "+host+" "+port)
}

// noSSH is the error of a handshake that came to nothing before the login. A
// server that is full hangs up without a word, and so does one that is going
// down.
func noSSH(r route, err error) error {
	var none *ssh.AlgorithmNegotiationError
	if errors.As(err, &none) {
		return fault.WithRemedy(fmt.Errorf("%w: %s at %s: %w", ErrSetup, "no common algorithm with the server", r.address, err), "let its sshd offer an algorithm that is not outdated")
	}
	return unreachable(r, fmt.Errorf("the SSH handshake failed: %w", err))
}

// denied names who was turned away and with what.
func (l *line) denied(r route, ids *identities, err error) error {
	if ids.accepted != "" {
		return fault.WithRemedy(fmt.Errorf("%w at %s for user %q: the server knows the key %s and wants more than a key, which pleiad does not have", ErrDenied, r.address, r.user, ids.accepted),
			"let this user in by key alone, in sshd_config there: Match User "+r.user+", and below that AuthenticationMethods publickey",
			"if sshd there wants nothing else, see why it turned the user away: journalctl -t sshd")
	}
	text := "no key to offer"
	if len(ids.offered) > 0 {
		text = "offered " + strings.Join(ids.offered, ", ")
	}
	if len(ids.unusable) > 0 {
		text += "; not usable: " + strings.Join(ids.unusable, ", ")
	}
	host, port := r.hostAndPort()
	remedy := append([]string{}, ids.hints...)
	if len(ids.offered) > 0 {
		key := ""
		if ids.file != "" { // else ssh-copy-id takes ssh's own files, which were not offered
			key = "-i " + shell.Quote(ids.file) + " "
		}
		remedy = append(remedy, "authorize one of these keys: ssh-copy-id "+key+"-p "+port+" "+shell.Quote(r.user+"@"+host))
	}
	if l.target.hop {
		remedy = append(remedy, "name another User or IdentityFile in ssh_config, under Host "+l.target.host)
	} else {
		remedy = append(remedy, "name another user: or identityFile: under "+l.pool.config.Section+" in the spec")
	}
	return fault.WithRemedy(fmt.Errorf("%w at %s for user %q: %s (%s)", ErrDenied, r.address, r.user, text, strings.TrimPrefix(err.Error(), "ssh: handshake failed: ssh: ")), remedy...)
}
