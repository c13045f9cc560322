package sshexec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/given"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

// settings are what ssh_config(5) says about one host: for each key the first
// value that applies, except that identity files add up. They are read afresh
// for every dial, in one pass as ssh does it, because whether a Match applies
// can depend on what came before.
//
// A parser of our own: github.com/kevinburke/ssh_config v1.6.0 lets `?` match
// nothing (so that "10.0.0.1?" takes 10.0.0.1 too), and refuses a whole file for
// one Match it does not know, as Fedora's /etc/ssh/ssh_config has.
type settings struct {
	host   string // as the spec or ProxyJump writes it; what Host matches on
	user   string // chosen beside ssh_config; what Match user matches on
	spoken spoken // what is said elsewhere
	first  map[string]setting
	idents []string
	certs  []string
	// undecided is the place of a Match that we cannot judge, while in it.
	undecided string
	folder    string // of the file that ssh would read first
	depth     int
	open      func(file string) ([]byte, error)
}

// spoken are the keys of ssh_config that do not count, as something that comes before
// it says what they would.
type spoken struct {
	// section is where the spec has keys for the target: "hosts.ssh"; empty if nowhere.
	section string
	// keys are those of ssh_config: what the spec calls each, or "" if it was said.
	keys map[string]string
}

// add adds a key of ssh_config that the spec has under a name, if it has one, and
// whether it was said.
func (s spoken) add(key, name string, said bool) {
	if said {
		s.keys[key] = ""
	} else if name != "" {
		s.keys[key] = name
	}
}

// has says whether a key was said.
func (s spoken) has(key string) bool {
	name, there := s.keys[key]
	return there && name == ""
}

// remedy is how to say a key for a host although ssh_config hides it in a Match that
// we cannot judge.
func (s spoken) remedy(key, host, match string) []string {
	out := []string{fmt.Sprintf("say it in ssh_config before %s, for this host alone: Host %s, and below that %s with its value", match, host, key)}
	if name := s.keys[strings.ToLower(key)]; name != "" && s.section != "" {
		out = append(out, fmt.Sprintf("or say it in the spec: %s: under %s", name, s.section))
	}
	return out
}

type setting struct {
	args  []string
	where string // file:line
}

// useful are the keys that we heed; others are skipped.
var useful = []string{"hostname", "user", "port", "identityfile", "identitiesonly", "identityagent",
	"proxyjump", "proxycommand", "hostkeyalias", "userknownhostsfile", "globalknownhostsfile", "revokedhostkeys",
	"connecttimeout", "bindaddress", "addressfamily", "certificatefile"}

// readSettings reads the files, those that exist, for a host.
func readSettings(ctx context.Context, files []string, host, user string, said spoken) (*settings, error) {
	s := &settings{open: func(file string) ([]byte, error) { return given.Read(ctx, file, given.Config) }, host: host, user: user, spoken: said, first: map[string]setting{}}
	for _, f := range files {
		s.folder = filepath.Dir(f)
		if err := s.read(f, true); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// text is the first value of a key, "" if there is none.
func (s *settings) text(key string) string {
	if args := s.first[key].args; len(args) > 0 {
		return args[0]
	}
	return ""
}

// read takes up what a file says. outer is whether the section that includes
// it applies.
func (s *settings) read(file string, outer bool) error {
	if s.depth++; s.depth > 16 {
		return setupError("take the Include out that leads back to itself", "%s: included too deep", file)
	}
	defer func() { s.depth-- }()
	b, err := s.open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return setupError("make it a file that you can read, or take it away: ls -l "+shell.Quote(file), "read ssh_config: %w", err)
	}
	around := s.undecided
	applies := outer
	for i, line := range strings.Split(string(b), "\n") {
		where := fmt.Sprintf("%s:%d", file, i+1)
		words, err := splitWords(line)
		if err != nil {
			return setupError("fix that line", "%s: %w", where, err)
		}
		if len(words) == 0 {
			continue
		}
		switch key, args := strings.ToLower(words[0]), words[1:]; key {
		case "host":
			s.undecided = around
			applies = outer && matchAny(args, s.host)
		case "match":
			var known bool
			applies, known = s.match(args)
			applies, s.undecided = applies && outer, around
			if outer && !known {
				s.undecided = where
			}
		case "include":
			err = s.include(args, applies)
		default:
			err = s.set(words[0], setting{args, where}, applies)
		}
		if err != nil {
			return err
		}
	}
	s.undecided = around
	return nil
}

// set takes up a value. Whether one in a Match that we cannot judge holds does not
// matter where the key has one already.
func (s *settings) set(word string, v setting, applies bool) error {
	key := strings.ToLower(word)
	known := s.known(key)
	adds := (key == "identityfile" || key == "certificatefile") && s.undecided == ""
	switch {
	case !applies && s.undecided == "", len(v.args) == 0, !slices.Contains(useful, key):
		return nil
	case known && !adds, s.spoken.has(key):
		return nil
	case s.undecided != "":
		return fault.WithRemedy(fmt.Errorf("%w: %s sets %s, but pleiad cannot evaluate the Match at %s", ErrSetup, v.where, word, s.undecided),
			s.spoken.remedy(word, s.host, s.undecided)...)
	}
	if !known {
		s.first[key] = v
	}
	switch key {
	case "identityfile":
		s.idents = append(s.idents, v.args[0])
	case "certificatefile":
		s.certs = append(s.certs, v.args[0])
	}
	return nil
}

// known says whether a key has its value. Of ProxyJump and ProxyCommand the one that
// comes first counts (ssh_config(5), ProxyJump).
func (s *settings) known(key string) bool {
	_, known := s.first[key]
	rival := map[string]string{"proxyjump": "proxycommand", "proxycommand": "proxyjump"}[key]
	_, beaten := s.first[rival]
	return known || beaten
}

// include reads the files of an Include; relative names are beside the user's
// or the system's file, also within a file that was included.
func (s *settings) include(patterns []string, applies bool) error {
	for _, p := range patterns {
		p = expandHome(p)
		if !filepath.IsAbs(p) {
			p = filepath.Join(s.folder, p)
		}
		files, err := filepath.Glob(p)
		if err != nil {
			return setupError("fix that line", "Include %s: %w", p, err)
		}
		for _, f := range files {
			if err := s.read(f, applies); err != nil {
				return err
			}
		}
	}
	return nil
}

// match judges the criteria of a Match line. known is false if the answer
// hangs on one that we cannot judge, such as exec.
func (s *settings) match(criteria []string) (applies, known bool) {
	applies, known = true, true
	for len(criteria) > 0 {
		name, negate := strings.CutPrefix(strings.ToLower(criteria[0]), "!")
		criteria = criteria[1:]
		yes := false
		switch name {
		case "all", "final":
			yes = true
		case "canonical": // we never canonicalise names
		default:
			if len(criteria) == 0 {
				return false, false
			}
			list := strings.Split(criteria[0], ",")
			criteria = criteria[1:]
			switch name {
			case "host":
				yes = matchAny(list, orElse(s.text("hostname"), s.host))
			case "originalhost":
				yes = matchAny(list, s.host)
			case "user":
				yes = matchAny(list, orElse(s.user, orElse(s.text("user"), localUser())))
			case "localuser":
				yes = matchAny(list, localUser())
			default:
				known = false
				continue
			}
		}
		if yes == negate {
			return false, true
		}
	}
	return applies && known, known
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

// localUser is who we are, "" if nobody can tell.
func localUser() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username[strings.LastIndex(u.Username, `\`)+1:] // DOMAIN\user on Windows
}

// matchAny matches a name against patterns; one that begins with ! and matches
// excludes it.
func matchAny(patterns []string, name string) bool {
	found := false
	for _, p := range patterns {
		p, negate := strings.CutPrefix(p, "!")
		if matchPattern(strings.ToLower(p), strings.ToLower(name)) {
			if negate {
				return false
			}
			found = true
		}
	}
	return found
}

// matchPattern knows * and ? alone (ssh_config(5), PATTERNS).
func matchPattern(pattern, name string) bool {
	switch {
	case pattern == "":
		return name == ""
	case pattern[0] == '*':
		return matchPattern(pattern[1:], name) || name != "" && matchPattern(pattern, name[1:])
	case name == "":
		return false
	}
	return (pattern[0] == '?' || pattern[0] == name[0]) && matchPattern(pattern[1:], name[1:])
}

// splitWords splits a line: the key may be followed by "=", words may be in
// quotes, within which a backslash escapes a quote or itself, and # begins a
// comment.
func splitWords(line string) ([]string, error) {
	line = strings.TrimSpace(line)
	if end := strings.IndexAny(line, " \t="); end >= 0 && !strings.HasPrefix(line, "#") {
		rest := strings.TrimLeft(line[end:], " \t")
		rest = strings.TrimPrefix(rest, "=")
		line = line[:end] + " " + rest
	}
	var words []string
	for {
		line = strings.TrimLeft(line, " \t\r")
		if line == "" || line[0] == '#' {
			return words, nil
		}
		word, rest, err := cutWord(line)
		if err != nil {
			return nil, err
		}
		words, line = append(words, word), rest
	}
}

func cutWord(line string) (word, rest string, err error) {
	var quote byte
	var out []byte
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line) && strings.IndexByte(`\"'`, line[i+1]) >= 0:
			i++
			out = append(out, line[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && (c == ' ' || c == '\t' || c == '\r'):
			return string(out), line[i:], nil
		default:
			out = append(out, c)
		}
	}
	if quote != 0 {
		return "", "", errors.New("a quote is not closed")
	}
	return string(out), "", nil
}

// expandHome is a path with a leading ~ replaced by the home directory.
func expandHome(path string) string {
	if path == "~" || strings.HasPrefix(path, "~/") {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, path[1:])
		}
	}
	return path
}
