// Package sshexec runs commands on machines over SSH. It is the one transport
// below the providers that work on real machines: all they do there goes
// through a [Machine].
//
//	New ─▶ Pool ─▶ Machine ─▶ line ─▶ connection ─▶ session: Look, Run, Send, Open, Follow
//	                           │ dialled on first use, and again when lost
//	                           └─▶ line to a jump host, shared by all behind it
//
// [New] opens nothing; [Pool.Machine] names a machine by its address as the
// spec writes it, and ssh_config says the rest as it would for ssh itself.
//
// # What it promises
//
// A host key is never trusted blindly: it is in known_hosts, signed by an
// authority there, its fingerprint is in the configuration, or the caller vouches
// for it ([Config.Vouch]), else nothing is sent. No password is ever asked for or sent; only keys log in.
//
// Whatever the other side does, a call ends: connecting is bounded by
// [Config.Connect], as a machine that is there takes a connection at once, and what
// follows by [Config.Login], as its sshd may take long to let anybody in. While
// anything is outstanding the machine must answer, so that one that was paused or cut
// off in the middle of a command is noticed after three [Config.Keepalive]. A call
// whose ctx ends first leaves the login to go on: the next call may find it made.
//
// A caller can tell apart (rule R12) whether a command was never sent
// ([ErrUnreachable]), ended ([*ExitError]), or may have had any effect
// ([ErrLost]). A command is sent at most once. [fault.Lasting] tells what only a
// person can fix, [Remedy] how.
//
// Only what the command itself printed is its answer: a mark that nobody can
// guess shows where it begins and, for Run, where it ends. What the login prints
// besides is skipped. An answer without its marks is an error ([ErrShell]), never
// an empty answer.
//
// Commands are scripts for /bin/sh, whatever the user's login shell is; sh, fish
// and csh were tested.
//
// Commands appear in the argument lists of processes and in traces, so secrets
// go through stdin alone (rule R15).
//
// # What it does not promise
//
// A command that Run gave up on may continue: sshd sends it SIGTERM where it has the right to,
// but not to what sudo started. Where less than some 50 kB/s get through while
// a large input is sent, the machine counts as silent.
package sshexec

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"
)

// Config says how machines are reached. Zero values mean: as ssh itself would.
// User, Port, Jump and Vouch are for machines alone; the other fields hold for jump hosts
// too, where ssh_config names nothing for them.
type Config struct {
	// User to log in as. Where it is not root, commands run by `sudo -n`.
	User string
	Port uint16
	// IdentityFile is the private key to log in with; "~" is the home
	// directory. It takes the place of those in ssh_config.
	IdentityFile string
	// KnownHosts takes the place of ~/.ssh/known_hosts and
	// /etc/ssh/ssh_known_hosts. A file that does not exist is empty.
	KnownHosts string
	// Jump is how machines are reached, as in ProxyJump: "user@host:port,…". It takes
	// the place of what ssh_config says of them.
	Jump string
	// Vouch says which keys a host may show that [Pool.Vouched] is asked for, by its
	// name there. It is asked before each connection.
	Vouch func(name string) (HostKeys, error)
	// Fingerprints of host keys ("SHA256:…") that are accepted though
	// known_hosts does not have them. A revoked key is not accepted.
	Fingerprints []string
	// SSHConfig takes the place of ~/.ssh/config and /etc/ssh/ssh_config;
	// "none" for neither.
	SSHConfig string
	// Connect bounds connecting by TCP, for each of machine and jump hosts; 2.5 s by
	// default. Where ssh_config has a ConnectTimeout, that takes its place, and bounds
	// the key exchange too, as it does for ssh.
	Connect time.Duration
	// Login bounds what follows: the greeting, checking the host key and logging in;
	// 2 minutes by default, as long as sshd itself allows (sshd_config(5),
	// LoginGraceTime).
	Login time.Duration
	// Section is where the spec has user, port and identityFile, for remedies;
	// "hosts.ssh" by default. It has knownHosts and fingerprints too unless Vouch is set.
	Section string
	// LoginCommand is how a person logs in to a machine as pleiad does, word by word, for
	// remedies; "ssh HOST" by default.
	LoginCommand func(machine netip.Addr) []string
	// Keepalive is how often a machine is asked for a sign of life while
	// something is outstanding; after two it is given up. 1 s by default.
	Keepalive time.Duration
	// Trace, if not nil, is called with every outside call that has ended:
	// what ("dial", "run …"), whom, how long, and how it ended. Several
	// goroutines call it at once.
	Trace func(what, whom string, took time.Duration, err error)
}

// Pool holds the connections to the machines of one cluster. Methods are safe
// for concurrent use.
type Pool struct {
	config Config
	life   context.Context // ends with Close
	end    context.CancelCauseFunc
	// running are all goroutines of the pool. It only grows under mu and while
	// life lasts, so that Close can wait for it.
	running sync.WaitGroup

	mu    sync.Mutex // guards what follows, and is the last to be taken
	lines map[target]*line
	named map[target]*Machine
}

// New makes a pool. It opens nothing.
func New(c Config) *Pool {
	c.Connect = cmp.Or(c.Connect, 2500*time.Millisecond)
	c.Login = cmp.Or(c.Login, 2*time.Minute)
	c.Section = cmp.Or(c.Section, "hosts.ssh")
	c.Keepalive = cmp.Or(c.Keepalive, time.Second)
	life, end := context.WithCancelCause(context.Background())
	return &Pool{config: c, life: life, end: end, lines: map[target]*line{}, named: map[target]*Machine{}}
}

// Machine is the machine with an address, always the same one. It asks nobody.
func (p *Pool) Machine(addr netip.Addr) *Machine { return p.Vouched(addr, "") }

// Vouched is the machine with an address of which [Config.Vouch] knows the keys
// under a name; without a name it is [Pool.Machine]. An address may be another
// machine's later on, which then has another name.
func (p *Pool) Vouched(addr netip.Addr, name string) *Machine {
	t := target{host: addr.String(), jump: p.config.Jump, vouched: name}
	l := p.lineTo(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.named[t]
	if m == nil {
		m = &Machine{pool: p, name: addr.String(), line: l}
		p.named[t] = m
	}
	return m
}

// Close ends all connections, whatever runs on them, and waits until nothing
// of the pool runs any more. Later calls fail.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.end(errClosed)
	p.mu.Unlock()
	p.running.Wait()
	return nil
}

// errClosed is why calls fail after Close.
var errClosed = errors.New("the connections were closed")

// run starts a goroutine that Close waits for. It says false, and starts
// nothing, once the pool is closed.
func (p *Pool) run(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.Err() != nil {
		return false
	}
	p.running.Go(f)
	return true
}

// lineTo is the one line to a target.
func (p *Pool) lineTo(t target) *line {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lines[t]
	if l == nil {
		l = &line{pool: p, target: t}
		p.lines[t] = l
	}
	return l
}

func (p *Pool) trace(what, whom string, began time.Time, err error) {
	if p.config.Trace != nil {
		p.config.Trace(what, whom, time.Since(began), err)
	}
}

// Machine is one machine. Methods are safe for concurrent use and share one
// connection, which is dialled when needed.
type Machine struct {
	pool *Pool
	name string // its address as the spec writes it
	line *line

	mu      sync.Mutex // guards what follows
	waiting *session   // what Look has left; nil for none. It may have ended since
}

// String is the machine's address.
func (m *Machine) String() string { return m.name }
