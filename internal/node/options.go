package node

import (
	"flag"
	"fmt"
	"io"
	"strings"

	"go.etcd.io/etcd/server/v3/embed"
)

// defaults are options for production that etcd leaves off or lower; the
// user's options override each of them. Sources: etcd's maintenance guide
// (auto-compaction, quota) and its data-corruption guide (the feature gates).
func defaults() map[string]string {
	return map[string]string{
		"auto-compaction-mode":      "periodic",
		"auto-compaction-retention": "1h",
		"feature-gates":             "InitialCorruptCheck=true,CompactHashCheck=true",
		"max-learners":              "1",
		"quota-backend-bytes":       "8589934592",
		"strict-reconfig-check":     "true",
	}
}

// ours says why an option belongs to pleiad and cannot be set by the user.
func ours(name string) string {
	switch {
	case name == "force-new-cluster":
		return "it discards the member list and can lose acknowledged writes; recovering from quorum loss is an operation of its own"
	case name == "unsafe-no-fsync":
		return "it loses acknowledged writes on a power cut"
	case strings.HasPrefix(name, "initial-"), strings.HasPrefix(name, "discovery"):
		return "pleiad decides how a member finds its cluster"
	case strings.HasPrefix(name, "listen-"), name == "advertise-client-urls":
		return "pleiad gives each host its address and ports"
	case strings.HasPrefix(name, "peer-") && name != "peer-skip-client-san-verification" && name != "peer-cert-allowed-cn" && name != "peer-cert-allowed-hostname",
		name == "cert-file", name == "key-file", name == "trusted-ca-file", name == "client-cert-auth",
		name == "client-cert-file", name == "client-key-file", name == "auto-tls", name == "self-signed-cert-validity":
		return "pleiad issues the certificates; turn TLS off with tls: off"
	case name == "name", name == "data-dir", name == "wal-dir":
		return "pleiad names members and places their data"
	case name == "config-file":
		return "a configuration file would override every flag that pleiad sets; name the options one by one"
	case name == "log-outputs", name == "enable-log-rotation", name == "log-rotation-config-json", name == "logger":
		return "pleiad keeps the logs; see pleiad logs"
	case name == "strict-reconfig-check":
		return "turning it off allows membership changes that lose quorum"
	case name == "max-learners":
		return "pleiad changes one member at a time"
	case name == "version":
		return "it prints the version and exits"
	}
	return ""
}

// CheckOption checks one etcd option of a spec against the flags that the
// bundled etcd knows, and against those that pleiad must own. The error says
// what is wrong and what to do; the caller adds the place.
func CheckOption(name, value string) error {
	if strings.HasPrefix(name, "-") {
		return fmt.Errorf("write %q without dashes", strings.TrimLeft(name, "-"))
	}
	if strings.HasPrefix(name, "experimental-") {
		return fmt.Errorf("etcd 3.7 has no --%s: experimental flags became plain flags or feature gates in 3.6", name)
	}
	if why := ours(name); why != "" {
		return fmt.Errorf("--%s cannot be set: %s", name, why)
	}
	known := etcdFlags()
	if known.Lookup(name) == nil {
		return fmt.Errorf("etcd has no option %q%s", name, suggest(known, name))
	}
	if err := known.Set(name, value); err != nil {
		return fmt.Errorf("etcd does not take %q for --%s: %w", value, name, err)
	}
	return nil
}

// etcdFlags are the flags of the bundled etcd, fresh each time: setting one
// parses its value.
func etcdFlags() *flag.FlagSet {
	fs := flag.NewFlagSet("etcd", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	embed.NewConfig().AddFlags(fs)
	return fs
}

// Options lists the options a user may set, sorted, for schemas and help.
func Options() []string {
	var names []string
	etcdFlags().VisitAll(func(f *flag.Flag) {
		if ours(f.Name) == "" {
			names = append(names, f.Name)
		}
	})
	return names
}

// suggest names the known flag that shares the longest beginning with a
// mistyped one, if that is most of it.
func suggest(known *flag.FlagSet, name string) string {
	best, shared := "", 0
	known.VisitAll(func(f *flag.Flag) {
		n := 0
		for n < min(len(f.Name), len(name)) && f.Name[n] == name[n] {
			n++
		}
		if n > shared && ours(f.Name) == "" {
			best, shared = f.Name, n
		}
	})
	if 2*shared < len(name) {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
