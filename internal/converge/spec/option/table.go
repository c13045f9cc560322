package option

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
