package node

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// args are the flags of etcd for one member: who it is, where it listens, how
// it finds its peers, its certificates, its log; then the options, sorted: our
// defaults and those of the user, which package spec has checked.
func args(spec cluster.Spec, marker cluster.Marker, members []cluster.Host, h cluster.Host) []string {
	scheme := spec.Scheme()
	a := []string{
		"--name=" + string(h.Name),
		"--data-dir=" + h.Paths.Data,
		"--listen-peer-urls=" + scheme + "://" + listen(h, h.Ports.Peer),
		"--listen-client-urls=" + scheme + "://" + listen(h, h.Ports.Client),
		"--listen-metrics-urls=http://" + metrics(h),
		"--initial-advertise-peer-urls=" + spec.PeerURL(h.Name, h.Ports.Peer),
		"--advertise-client-urls=" + spec.ClientURL(h.Name, h.Ports.Client),
		initialToken + string(marker.Token),
	}
	a = append(a, membership(spec, marker, members)...)
	if spec.TLS {
		a = append(a, tlsArgs(h.Paths.Config)...)
	}
	a = append(a, logArgs(h.Paths.Log)...)
	a = append(a, "--max-learners=1", "--strict-reconfig-check=true")
	options := withDefaults(spec)
	for _, k := range slices.Sorted(maps.Keys(options)) {
		a = append(a, "--"+k+"="+options[k])
	}
	return a
}

// membership is the list of members, always in full: etcd must not look for it
// by itself. With --discovery-srv it would ask DNS once more, a moment after the
// start gate did, and skip what does not resolve at that moment; the gate has
// compared DNS with this very list (rule R3). A sealed member starts from its
// own data (rules R1, R9), and the list then stands for people.
//
// etcd compares its own URL in the list with the one it advertises. They are
// equal letter by letter, so that it looks up neither (etcd pkg/netutil; the
// releases that look up both can refuse to start, and found nothing else).
func membership(spec cluster.Spec, marker cluster.Marker, members []cluster.Host) []string {
	list := make([]string, len(members))
	for i, m := range members {
		list[i] = string(m.Name) + "=" + spec.PeerURL(m.Name, m.Ports.Peer)
	}
	state := "new"
	if marker.Phase != cluster.Bootstrapping {
		state = "existing"
	}
	return []string{initialCluster + strings.Join(list, ","), "--initial-cluster-state=" + state}
}

// tlsArgs always name the trust files: without --peer-trusted-ca-file etcd
// would verify the discovery domain at first boot and the host name later.
//
// The gateway's certificate is what etcd presents to itself: its JSON API
// (/v3/…, which Patroni and APISIX use) calls the client port over TLS like any
// client, with the certificate of --client-cert-file or, without that, of
// --cert-file, which would then have to be a client's too.
func tlsArgs(config string) []string {
	file := func(flag, name string) string { return "--" + flag + "=" + path.Join(config, name) }
	return []string{
		file("cert-file", ServerCertFile), file("key-file", ServerKeyFile),
		file("client-cert-file", GatewayCertFile), file("client-key-file", GatewayKeyFile),
		file("trusted-ca-file", ClientCAFile), "--client-cert-auth=true",
		file("peer-cert-file", PeerCertFile), file("peer-key-file", PeerKeyFile),
		file("peer-trusted-ca-file", PeerCAFile), "--peer-client-cert-auth=true",
	}
}

// logArgs keep the log bounded: three files of 10 MB. etcd with a dead peer
// writes hundreds of megabytes a day.
func logArgs(file string) []string {
	if file == "" {
		return []string{"--logger=zap", "--log-outputs=stderr"}
	}
	return []string{"--logger=zap", "--log-outputs=" + logOutput(file), "--enable-log-rotation=true",
		`--log-rotation-config-json={"maxsize": 10, "maxage": 0, "maxbackups": 2, "localtime": false, "compress": false}`}
}

// logOutput writes a path as etcd reads it when it rotates: as one of a list
// with commas, then as the path of a URL (server/embed/config_logging.go).
func logOutput(file string) string {
	var b strings.Builder
	for i := range len(file) {
		if c := file[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`%,#?"<>`, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// withDefaults adds the options for production that etcd leaves off or low;
// the user's options win. Sources: etcd's maintenance guide (auto-compaction,
// quota) and its data-corruption guide (the feature gates).
func withDefaults(spec cluster.Spec) map[string]string {
	user := spec.Etcd.Options
	options := map[string]string{
		"auto-compaction-mode": "periodic",
		"feature-gates":        "CompactHashCheck=true,InitialCorruptCheck=true",
		"quota-backend-bytes":  "8589934592",
	}
	if spec.TLS {
		options["tls-min-version"] = "TLS1.2"
	}
	maps.Copy(options, user)
	if _, ok := user["auto-compaction-retention"]; !ok && options["auto-compaction-mode"] == "periodic" {
		options["auto-compaction-retention"] = "1h"
	}
	if own, ok := user["feature-gates"]; ok {
		options["feature-gates"] = withCorruptionChecks(own)
	}
	return options
}

// Quota is how large the database of a member may become, in bytes. Zero stands for
// etcd's own default (server/storage/quota.go, DefaultQuotaBytes).
func Quota(spec cluster.Spec) int64 {
	n, err := strconv.ParseInt(withDefaults(spec)["quota-backend-bytes"], 10, 64)
	if err != nil || n == 0 {
		return 2 << 30
	}
	return n
}

// withCorruptionChecks turns both corruption checks on in a user's own list of
// feature gates, unless it says otherwise: to turn on one more gate must not turn
// off these two.
func withCorruptionChecks(own string) string {
	gates, err := cluster.ParseGates(own)
	if err != nil {
		return own // not what a spec may say; etcd will say what is wrong
	}
	for _, gate := range []string{"CompactHashCheck", "InitialCorruptCheck"} {
		if _, ok := gates[gate]; !ok {
			gates[gate] = true
		}
	}
	var list []string
	for _, gate := range slices.Sorted(maps.Keys(gates)) {
		list = append(list, gate+"="+strconv.FormatBool(gates[gate]))
	}
	return strings.Join(list, ",")
}

// listen is a listener's address: always an IP address, never a name, which
// etcd refuses.
func listen(h cluster.Host, port uint16) string {
	return hostPort(h.Address.Unmap().String(), port)
}

// metrics is where metrics are served, without TLS: never beyond the host.
func metrics(h cluster.Host) string {
	if h.Address.Unmap().IsLoopback() {
		return listen(h, h.Ports.Metrics)
	}
	return hostPort("127.0.0.1", h.Ports.Metrics)
}

func hostPort(host string, port uint16) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(int(port))
}
