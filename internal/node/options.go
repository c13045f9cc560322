package node

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.etcd.io/etcd/client/pkg/v3/tlsutil"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/features"
)

// ErrUnknownOption says that the bundled etcd has no option of that name.
var ErrUnknownOption = errors.New("etcd has no such option")

// CheckOption checks one etcd option of a spec, without its dashes, as the
// bundled etcd would parse it, and refuses those that pleiad must own. The
// error says what is wrong and what to do; the caller adds the place and, for
// [ErrUnknownOption], what may have been meant (see [Options]).
func CheckOption(name, value string) error {
	if strings.HasPrefix(name, "-") {
		return fmt.Errorf("write %q without dashes", strings.TrimLeft(name, "-"))
	}
	if strings.HasPrefix(name, "experimental-") {
		return errors.New("etcd 3.7 has no experimental options: they became plain options or feature-gates in 3.6")
	}
	if why := owned(name); why != "" {
		return fmt.Errorf("cannot be set: %s", why)
	}
	check, ok := settable()[name]
	if !ok {
		return ErrUnknownOption
	}
	if strings.ContainsFunc(value, unicode.IsControl) {
		return fmt.Errorf("%q holds a control character", value)
	}
	return check(value)
}

// CheckOptions checks options that depend on each other, each of which has
// passed [CheckOption]. It returns the option to point at. These are the rules
// of etcd's embed.Config.Validate, which can only be asked by a process that
// is about to become a member.
func CheckOptions(options map[string]string) (name string, err error) {
	number := func(name string, def uint64) uint64 {
		if n, err := strconv.ParseUint(options[name], 0, 64); err == nil {
			return n
		}
		return def
	}
	heartbeat, election := number("heartbeat-interval", 100), number("election-timeout", 1000)
	if election/5 < heartbeat {
		at := "election-timeout"
		if options[at] == "" {
			at = "heartbeat-interval"
		}
		return at, fmt.Errorf("an election timeout of %d ms with a heartbeat interval of %d ms; it must be at least five times as long", election, heartbeat)
	}
	if name, err := checkCompaction(options["auto-compaction-mode"], options["auto-compaction-retention"]); err != nil {
		return name, err
	}
	if options["tls-min-version"] == "TLS1.3" {
		if options["tls-max-version"] == "TLS1.2" {
			return "tls-max-version", errors.New("lower than tls-min-version TLS1.3")
		}
		if options["cipher-suites"] != "" {
			return "cipher-suites", errors.New("cannot be chosen for TLS 1.3, which tls-min-version requires")
		}
	}
	return checkGates(options["feature-gates"])
}

func checkGates(value string) (name string, err error) {
	gates, err := parseGates(value)
	if err != nil {
		return "feature-gates", err
	}
	on := func(gate string) bool {
		if v, ok := gates[gate]; ok {
			return v
		}
		return gates["AllAlpha"]
	}
	if on("LeaseCheckpointPersist") && !on("LeaseCheckpoint") {
		return "feature-gates", errors.New("LeaseCheckpointPersist needs LeaseCheckpoint as well")
	}
	return "", nil
}

func checkCompaction(mode, retention string) (name string, err error) {
	if mode != "revision" {
		return "", nil
	}
	if retention == "" {
		return "auto-compaction-mode", errors.New("revision needs auto-compaction-retention too: how many revisions to keep")
	}
	if _, err := strconv.ParseUint(retention, 10, 63); err != nil {
		return "auto-compaction-retention", fmt.Errorf("%q is not a number of revisions, which auto-compaction-mode: revision requires", retention)
	}
	return "", nil
}

// Options lists the options a user may set, sorted, for schemas and help.
func Options() []string { return slices.Sorted(maps.Keys(settable())) }

// settable says how each option that a user may set is checked. It is a table
// of ours and not etcd's flag set, because making that set writes to variables
// of etcd's rafthttp package; a test compares the two.
func settable() map[string]func(string) error {
	return map[string]func(string) error{
		"auth-token":                           authToken,
		"auth-token-ttl":                       whole(0, 32),
		"auto-compaction-mode":                 oneOf("periodic", "revision"),
		"auto-compaction-retention":            retention,
		"backend-batch-interval":               duration(0),
		"backend-batch-limit":                  whole(0, 31),
		"backend-bbolt-freelist-type":          oneOf("map", "array"),
		"bcrypt-cost":                          whole(0, 32),
		"bootstrap-defrag-threshold-megabytes": whole(0, 32),
		"cipher-suites":                        cipherSuites,
		"compact-hash-check-time":              duration(1),
		"compaction-batch-limit":               whole(0, 31),
		"compaction-sleep-interval":            duration(0),
		"corrupt-check-time":                   duration(0),
		"cors":                                 origins,
		"distributed-tracing-address":          text,
		"distributed-tracing-sampling-rate":    millionths,
		"distributed-tracing-service-name":     text,
		"downgrade-check-time":                 duration(0),
		"election-timeout":                     election,
		"enable-distributed-tracing":           boolean,
		"enable-grpc-gateway":                  boolean,
		"enable-pprof":                         boolean,
		"feature-gates":                        featureGates,
		"grpc-keepalive-interval":              duration(0),
		"grpc-keepalive-min-time":              duration(0),
		"grpc-keepalive-timeout":               duration(0),
		"heartbeat-interval":                   whole(1, 32),
		"host-whitelist":                       text,
		"initial-election-tick-advance":        boolean,
		"log-format":                           oneOf("json", "console"),
		"log-level":                            oneOf("debug", "info", "warn", "error", "panic", "fatal"),
		"max-concurrent-streams":               whole(0, 32),
		"max-request-bytes":                    whole(0, 32),
		"max-snapshots":                        whole(0, 32),
		"max-txn-ops":                          whole(0, 32),
		"max-wals":                             whole(0, 32),
		"memory-mlock":                         boolean,
		"metrics":                              oneOf("basic", "extensive"),
		"peer-cert-allowed-hostname":           text,
		"peer-skip-client-san-verification":    boolean,
		"pre-vote":                             boolean,
		"quota-backend-bytes":                  whole(0, 63),
		"raft-read-timeout":                    duration(0),
		"raft-write-timeout":                   duration(0),
		"snapshot-catchup-entries":             whole(0, 64),
		"snapshot-count":                       whole(0, 64),
		"socket-reuse-address":                 boolean,
		"tls-max-version":                      oneOf("TLS1.2", "TLS1.3"),
		"tls-min-version":                      oneOf("TLS1.2", "TLS1.3"),
		"warning-apply-duration":               duration(0),
		"warning-unary-request-duration":       duration(0),
		"watch-progress-notify-interval":       duration(0),
	}
}

// owned says why an option of etcd belongs to pleiad and cannot be set by the
// user; empty for all others.
func owned(name string) string {
	switch name {
	case "force-new-cluster":
		return "it discards the member list and can lose acknowledged writes; recovering from quorum loss is an operation of its own"
	case "unsafe-no-fsync":
		return "it loses acknowledged writes on a power cut"
	case "discovery-cacert", "discovery-cert", "discovery-dial-timeout", "discovery-endpoints", "discovery-fallback",
		"discovery-insecure-skip-tls-verify", "discovery-insecure-transport", "discovery-keepalive-time",
		"discovery-keepalive-timeout", "discovery-key", "discovery-password", "discovery-request-timeout",
		"discovery-srv", "discovery-srv-name", "discovery-token", "discovery-user",
		"initial-cluster", "initial-cluster-state", "initial-cluster-token":
		return "pleiad decides how a member finds its cluster; see domain and discoveryName"
	case "advertise-client-urls", "initial-advertise-peer-urls", "listen-client-http-urls", "listen-client-urls",
		"listen-metrics-urls", "listen-peer-urls":
		return "pleiad gives each host its address and ports"
	case "auto-tls", "cert-file", "client-cert-auth", "client-cert-file", "client-crl-file", "client-key-file", "key-file",
		"peer-auto-tls", "peer-cert-allowed-cn", "peer-cert-file", "peer-client-cert-auth", "peer-client-cert-file",
		"peer-client-key-file", "peer-crl-file", "peer-key-file", "peer-trusted-ca-file", "self-signed-cert-validity",
		"trusted-ca-file":
		return "pleiad issues and delivers the certificates; tls: off does without"
	case "client-cert-allowed-hostname":
		return "pleiad's own client certificate would be rejected"
	case "name", "data-dir", "wal-dir":
		return "pleiad names members and places their data"
	case "distributed-tracing-instance-id":
		return "it must differ from member to member"
	case "config-file":
		return "a configuration file would override every flag that pleiad sets; name the options one by one"
	case "enable-log-rotation", "log-outputs", "log-rotation-config-json", "logger":
		return "pleiad keeps the logs; see pleiad logs"
	case "strict-reconfig-check":
		return "turning it off allows membership changes that lose quorum"
	case "max-learners":
		return "pleiad changes one member at a time"
	case "socket-reuse-port":
		return "two processes could then answer on a member's port"
	case "v2-deprecation":
		return "etcd ignores it and will drop it"
	case "version":
		return "it prints the version and exits"
	}
	return ""
}

// text takes anything: etcd does not look at it before it uses it.
func text(string) error { return nil }

func boolean(v string) error {
	if _, err := strconv.ParseBool(v); err != nil {
		return fmt.Errorf("%q is neither true nor false", v)
	}
	return nil
}

// whole takes whole numbers from least that fit into so many bits, in every
// notation that Go's flag package takes: 8192, 8_192, 0x2000. Where etcd's own
// type has 64 bits but nothing that large is meant, it is bounded here, so
// that a file is valid on every platform or on none.
func whole(least uint64, bits int) func(string) error {
	return func(v string) error {
		n, err := strconv.ParseUint(v, 0, bits)
		switch {
		case errors.Is(err, strconv.ErrRange) || err == nil && n < least:
			return fmt.Errorf("%s is out of range: %d to %d", v, least, uint64(1)<<bits-1)
		case err != nil:
			return fmt.Errorf("%q is not a whole number from %d", v, least)
		}
		return nil
	}
}

func millionths(v string) error {
	if n, err := strconv.ParseUint(v, 0, 31); err != nil || n > 1_000_000 {
		return fmt.Errorf("%q is not a number from 0 to 1000000", v)
	}
	return nil
}

// election takes up to 50 s, etcd's own limit (embed/config.go, maxElectionMs).
func election(v string) error {
	if n, err := strconv.ParseUint(v, 0, 31); err != nil || n == 0 || n > 50_000 {
		return fmt.Errorf("%q is not a number of milliseconds from 1 to 50000", v)
	}
	return nil
}

func duration(least time.Duration) func(string) error {
	return func(v string) error {
		d, err := time.ParseDuration(v)
		switch {
		case err != nil:
			return fmt.Errorf("%q is not a duration such as 500ms, 10s or 1h30m", v)
		case d < least:
			return fmt.Errorf("%s is less than %s", v, least)
		}
		return nil
	}
}

// retention takes a number (of hours, or of revisions) or a duration
// (embed/etcd.go, parseCompactionRetention); see also [CheckOptions].
func retention(v string) error {
	if _, err := strconv.ParseUint(v, 10, 31); err == nil {
		return nil
	}
	if d, err := time.ParseDuration(v); err != nil || d < 0 {
		return fmt.Errorf("%q is neither a duration such as 1h nor a number: of hours, or of revisions in mode revision", v)
	}
	return nil
}

func oneOf(values ...string) func(string) error {
	return func(v string) error {
		if !slices.Contains(values, v) {
			return fmt.Errorf("%q is not one of %s", v, strings.Join(values, ", "))
		}
		return nil
	}
}

// authToken takes the kinds of token that etcd knows (auth/store.go,
// NewTokenProvider).
func authToken(v string) error {
	if kind, _, _ := strings.Cut(v, ","); kind != "simple" && kind != "jwt" {
		return fmt.Errorf("%q is neither simple nor jwt,OPTIONS", v)
	}
	return nil
}

func cipherSuites(v string) error {
	if _, err := tlsutil.GetCipherSuites(strings.Split(v, ",")); err != nil {
		return fmt.Errorf("%q: %w", v, err)
	}
	return nil
}

func origins(v string) error {
	if v == "*" {
		return nil
	}
	if _, err := types.NewURLs(strings.Split(v, ",")); err != nil {
		return fmt.Errorf("%q is neither * nor a list of URLs: %w", v, err)
	}
	return nil
}

func featureGates(v string) error {
	_, err := parseGates(v)
	return err
}

// parseGates reads "A=true,B=false" as etcd's pkg/featuregate does.
func parseGates(v string) (map[string]bool, error) {
	gates := map[string]bool{}
	for _, field := range strings.Split(v, ",") {
		if field == "" {
			continue
		}
		name, value, _ := strings.Cut(field, "=")
		name = strings.TrimSpace(name)
		on, err := strconv.ParseBool(strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("%q is not of the form NAME=true,NAME=false", v)
		}
		if known := knownGates(); !slices.Contains(known, name) {
			return nil, fmt.Errorf("etcd has no feature gate %q; it has %s", name, strings.Join(known, ", "))
		}
		gates[name] = on
	}
	return gates, nil
}

func knownGates() []string {
	known := []string{"AllAlpha", "AllBeta"}
	for gate := range features.DefaultEtcdServerFeatureGates {
		known = append(known, string(gate))
	}
	slices.Sort(known)
	return known
}
