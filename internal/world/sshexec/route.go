package sshexec

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// target is whom a line goes to.
type target struct {
	host string // as written in the spec or in ProxyJump
	// The rest is for jump hosts.
	hop  bool
	user string // from ProxyJump, else ""
	port string // from ProxyJump, else ""
	jump string // the hops before it, as in ProxyJump; "" if its own settings tell
	// vouched is the name under which [Config.Vouch] knows a machine's keys, "" for
	// those in known_hosts.
	vouched string
}

// route is how a target is reached: what the configuration, ssh_config and
// ssh's defaults come to.
type route struct {
	address string // host:port to dial
	name    string // host:port to look up in known_hosts
	user    string
	via     *target // the jump host, nil for none

	connect       time.Duration // for the TCP connection
	exchange      time.Duration // for greeting and key exchange, after that; 0 for none of their own
	bind          string        // the address to connect from, "" for any
	addressFamily string        // as in ssh_config

	identities   []string // private keys, in the order to offer them
	certificates []string // files with certificates of them, beside those next to the keys
	chosen       bool     // somebody named them, they are not ssh's defaults
	onlyThese    bool     // offer no other keys of the agent
	agent        string   // socket of the agent, "" for none
	knownHosts   []string // files
	revoked      string   // a file with keys that are never accepted, "" for none
}

// reads is how long ssh_config may take to be read: its files may be pipes.
const reads = 2500 * time.Millisecond

func (p *Pool) route(ctx context.Context, t target) (route, error) {
	user, port := t.user, t.port
	if !t.hop {
		user = p.config.User
		if p.config.Port != 0 {
			port = strconv.Itoa(int(p.config.Port))
		}
	}
	reading, cancel := context.WithTimeoutCause(ctx, reads, fmt.Errorf("not read within %s", reads))
	defer cancel()
	s, err := readSettings(reading, p.configFiles(), t.host, user, p.spoken(t))
	if err != nil {
		return route{}, err
	}
	r := route{user: orElse(user, orElse(s.text("user"), localUser()))}
	port = orElse(port, orElse(s.text("port"), "22"))
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return route{}, setupError("fix that line", "%s: port %q", s.first["port"].where, port)
	}
	host := t.host
	if h := s.text("hostname"); h != "" {
		host = strings.NewReplacer("%h", t.host, "%%", "%").Replace(h)
	}
	r.address = net.JoinHostPort(host, port)
	r.name = r.address
	if alias := s.text("hostkeyalias"); alias != "" {
		r.name = net.JoinHostPort(alias, "22") // an alias is looked up without a port
	}
	if r.connect, r.exchange, err = p.limits(s); err != nil {
		return route{}, err
	}
	if r.bind = s.text("bindaddress"); r.bind != "" && !isAddress(r.bind) {
		return route{}, setupError("write an IP address of this machine", "%s: BindAddress %q", s.first["bindaddress"].where, r.bind)
	}
	r.addressFamily = s.text("addressfamily")
	expand := tokens(host, t.host, port, r.user, orElse(s.text("hostkeyalias"), t.host))
	p.chooseKeys(&r, t, s, expand)
	p.chooseKnownHosts(&r, t, s, expand)
	if f := s.text("revokedhostkeys"); f != "" && f != "none" {
		r.revoked = expand(f)
	}
	return r, r.chooseJump(t, s, strings.NewReplacer("%%", "%", "%h", host, "%n", t.host, "%p", port, "%r", r.user))
}

// spoken are the keys of ssh_config that do not count for a target, since the
// configuration or ProxyJump says it.
func (p *Pool) spoken(t target) spoken {
	out := spoken{section: p.config.Section, keys: map[string]string{}}
	if t.hop {
		out.section = ""
		out.add("user", "", t.user != "")
		out.add("port", "", t.port != "")
	} else {
		out.add("user", "user", p.config.User != "")
		out.add("port", "port", p.config.Port != 0)
		out.add("identityfile", "identityFile", p.config.IdentityFile != "")
		if p.config.Vouch == nil {
			out.add("userknownhostsfile", "knownHosts", p.config.KnownHosts != "")
			out.add("globalknownhostsfile", "knownHosts", p.config.KnownHosts != "")
		}
	}
	out.add("proxyjump", "", t.jump != "")
	out.add("proxycommand", "", t.jump != "")
	return out
}

// limits are those for the TCP connection and, after that, for greeting and key
// exchange; 0 for none but that of the whole login.
func (p *Pool) limits(s *settings) (connect, exchange time.Duration, err error) {
	text := s.text("connecttimeout")
	if text == "" || strings.EqualFold(text, "none") {
		return p.config.Connect, 0, nil
	}
	limit, err := parseTime(text)
	if err != nil || limit <= 0 {
		return 0, 0, setupError("write it in seconds, such as ConnectTimeout 10", "%s: ConnectTimeout %q", s.first["connecttimeout"].where, text)
	}
	return limit, limit, nil
}

// parseTime reads a length of time as sshd_config(5) has it under TIME FORMATS:
// numbers, each with a unit, of which the last may be left out for seconds.
func parseTime(text string) (time.Duration, error) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	var sum time.Duration
	for text != "" {
		end := strings.IndexFunc(text, func(c rune) bool { return c < '0' || c > '9' })
		digits, unit := text, time.Second
		if end >= 0 {
			digits, unit = text[:end], units[text[end]|0x20]
			end++
		} else {
			end = len(text)
		}
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil || unit == 0 {
			return 0, fmt.Errorf("not a length of time: %q", text)
		}
		sum += min(time.Duration(n), 1<<20) * unit // what is longer is no limit
		text = text[end:]
	}
	return sum, nil
}

// configFiles are the files of ssh_config, the user's first.
func (p *Pool) configFiles() []string {
	switch p.config.SSHConfig {
	case "none":
		return nil
	case "":
		return []string{expandHome("~/.ssh/config"), "/etc/ssh/ssh_config"}
	}
	return []string{expandHome(p.config.SSHConfig)}
}

// tokens replaces what file names may hold (ssh_config(5), TOKENS).
func tokens(host, original, port, remoteUser, alias string) func(string) string {
	home, _ := os.UserHomeDir() // without one, %d is empty and no file will be found
	own, _ := os.Hostname()     // as with %l and %L
	short, _, _ := strings.Cut(own, ".")
	r := strings.NewReplacer("%%", "%", "%d", home, "%h", host, "%n", original, "%p", port, "%r", remoteUser, "%u", localUser(),
		"%k", alias, "%l", own, "%L", short, "%i", strconv.Itoa(os.Getuid()))
	variable := regexp.MustCompile(`\$\{(\w+)\}`)
	return func(path string) string {
		path = variable.ReplaceAllStringFunc(path, func(v string) string { return os.Getenv(v[2 : len(v)-1]) })
		return expandHome(r.Replace(path))
	}
}

func (p *Pool) chooseKeys(r *route, t target, s *settings, expand func(string) string) {
	switch own := p.config.IdentityFile; {
	case own != "" && (!t.hop || len(s.idents) == 0):
		r.identities, r.chosen = []string{expandHome(own)}, true
	case len(s.idents) > 0:
		r.chosen = true
		for _, f := range s.idents {
			if f != "none" {
				r.identities = append(r.identities, expand(f))
			}
		}
	default:
		for _, f := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			r.identities = append(r.identities, expandHome("~/.ssh/"+f))
		}
	}
	for _, f := range s.certs {
		if f != "none" {
			r.certificates = append(r.certificates, expand(f))
		}
	}
	r.onlyThese = strings.EqualFold(s.text("identitiesonly"), "yes")
	switch a := s.text("identityagent"); {
	case a == "" || a == "SSH_AUTH_SOCK":
		r.agent = os.Getenv("SSH_AUTH_SOCK")
	case a == "none":
	case strings.HasPrefix(a, "$") && !strings.HasPrefix(a, "${"):
		r.agent = os.Getenv(a[1:])
	default:
		r.agent = expand(a)
	}
}

func (p *Pool) chooseKnownHosts(r *route, t target, s *settings, expand func(string) string) {
	user, named := s.first["userknownhostsfile"]
	if own := p.config.KnownHosts; own != "" && (!t.hop || !named) {
		r.knownHosts = []string{expandHome(own)}
		return
	}
	if !named {
		user.args = []string{"~/.ssh/known_hosts"}
	}
	global, named := s.first["globalknownhostsfile"]
	if !named {
		global.args = []string{"/etc/ssh/ssh_known_hosts"}
	}
	for _, f := range append(append([]string{}, user.args...), global.args...) {
		if f != "none" && f != os.DevNull {
			r.knownHosts = append(r.knownHosts, filepath.Clean(expand(f)))
		}
	}
}

// chooseJump finds the hop before the target. Of "a,b" it is b, which is then
// reached through a.
func (r *route) chooseJump(t target, s *settings, expand *strings.Replacer) error {
	jump := orElse(t.jump, expand.Replace(strings.Join(s.first["proxyjump"].args, "")))
	if jump == "" {
		if c, ok := s.first["proxycommand"]; ok && c.args[0] != "none" {
			return setupError("use ProxyJump instead, or say before that line, for this host alone: Host "+t.host+", ProxyCommand none", "%s: ProxyCommand is not supported", c.where)
		}
		return nil
	}
	if strings.EqualFold(jump, "none") {
		return nil
	}
	before, last := "", jump
	if i := strings.LastIndexByte(jump, ','); i >= 0 {
		before, last = jump[:i], jump[i+1:]
	}
	hop := target{hop: true, jump: before, host: strings.TrimPrefix(strings.TrimSpace(last), "ssh://")}
	if i := strings.LastIndexByte(hop.host, '@'); i >= 0 {
		hop.user, hop.host = hop.host[:i], hop.host[i+1:]
	}
	if host, port, err := net.SplitHostPort(hop.host); err == nil {
		hop.host, hop.port = host, port
	}
	hop.host = strings.Trim(hop.host, "[]")
	if hop.host == "" {
		return setupError("write it as [user@]host[:port]", "ProxyJump %q", jump)
	}
	r.via = &hop
	return nil
}
