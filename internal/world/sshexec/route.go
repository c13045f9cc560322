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

	identities []string // private keys, in the order to offer them
	chosen     bool     // somebody named them, they are not ssh's defaults
	onlyThese  bool     // offer no other keys of the agent
	agent      string   // socket of the agent, "" for none
	knownHosts []string // files
	revoked    string   // a file with keys that are never accepted, "" for none
}

func (p *Pool) route(ctx context.Context, t target) (route, error) {
	user, port := t.user, t.port
	if !t.hop {
		user = p.config.User
		if p.config.Port != 0 {
			port = strconv.Itoa(int(p.config.Port))
		}
	}
	reading, cancel := context.WithTimeoutCause(ctx, p.config.Timeout, fmt.Errorf("not read within %s", p.config.Timeout))
	defer cancel()
	s, err := readSettings(reading, p.configFiles(), t.host, user)
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
	expand := tokens(host, t.host, port, r.user)
	p.chooseKeys(&r, t, s, expand)
	p.chooseKnownHosts(&r, t, s, expand)
	if f := s.text("revokedhostkeys"); f != "" && f != "none" {
		r.revoked = expand(f)
	}
	return r, r.chooseJump(t, s)
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
func tokens(host, original, port, remoteUser string) func(string) string {
	home, _ := os.UserHomeDir() // without one, %d is empty and no file will be found
	r := strings.NewReplacer("%%", "%", "%d", home, "%h", host, "%n", original, "%p", port, "%r", remoteUser, "%u", localUser())
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
func (r *route) chooseJump(t target, s *settings) error {
	jump := orElse(t.jump, strings.Join(s.first["proxyjump"].args, ""))
	if jump == "" {
		if c, ok := s.first["proxycommand"]; ok && c.args[0] != "none" {
			return setupError("use ProxyJump instead", "%s: ProxyCommand is not supported", c.where)
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
