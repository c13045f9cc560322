// Package node renders what a host must hold to run its member: the member
// file with etcd's flags, the start gate's expectations and the pinned peers.
// It stands between plan (which compares a rendered node with what was found
// on a host) and delivery (which writes it). Everything here is data and pure:
// the same spec, marker and hosts give the same bytes, on every platform.
//
// [Render] first. Keys and certificates ([Credentials]) travel beside a node
// and never inside it, so that a node can be printed, compared and logged.
package node

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// FileVersion is the version of the member file that we write and read.
const FileVersion = 1

// FileName of a node, in the host's configuration folder (Paths.Config).
const FileName = "member.json"

// Names of the files with keys and certificates, below Paths.Config.
const (
	CAFile   = "pki/ca.crt"
	CertFile = "pki/member.crt"
	KeyFile  = "pki/member.key"
)

// Node is what `pleiad member` reads on a host. It is stored as JSON.
type Node struct {
	Version int                `json:"version"`
	Cluster cluster.Name       `json:"cluster"`
	Token   cluster.Token      `json:"token"`
	Name    cluster.MemberName `json:"name"`
	// Sealed says that the cluster's bootstrap is over: a missing data
	// directory then means lost data, never a first start (rules R1, R6).
	Sealed bool `json:"sealed"`
	// Member and ID are the IDs that the data directory must carry.
	Member cluster.MemberID `json:"member"`
	ID     cluster.ID       `json:"id"`
	Paths  cluster.Paths    `json:"paths"`
	// PeerAddress is host:port of the peer listener, for knowing that it is up.
	PeerAddress string `json:"peerAddress"`
	// Resolver is host:port of the name server that etcd on this host uses;
	// empty for the host's own resolver.
	Resolver string `json:"resolver,omitempty"`
	// Gate is what DNS must say before the first start.
	Gate Gate `json:"gate"`
	// Pins are peers whose addresses need no DNS once the cluster is sealed
	// (rule R9): host name without trailing dot to IP address.
	Pins map[string]string `json:"pins,omitempty"`
	// Names are what the member's certificate must be valid for, IP addresses
	// included; empty without TLS.
	Names []string `json:"names,omitempty"`
	// Args are etcd's flags, in the order etcd's documentation lists them.
	Args []string `json:"args"`
}

// Gate is the exact truth that the host's resolver must show (rule R3).
type Gate struct {
	// Service is the SRV owner name, with trailing dot.
	Service string `json:"service"`
	// Peers are all expected targets, sorted.
	Peers []Peer `json:"peers"`
}

// Peer is one expected SRV value and the address its target resolves to.
type Peer struct {
	Target  string `json:"target"` // with trailing dot
	Port    uint16 `json:"port"`
	Address string `json:"address"`
}

// Credentials are a member's key and certificates in PEM; secret (rule R15).
type Credentials struct {
	CA, Cert, Key []byte
}

// Render makes the node of the member on host h. The members of the cluster
// are exactly the given hosts, h among them; marker names the incarnation and
// its phase.
func Render(spec cluster.Spec, marker cluster.Marker, members []cluster.Host, h cluster.Host, resolver string) Node {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b cluster.Host) int { return strings.Compare(string(a.Name), string(b.Name)) })
	n := Node{
		Version:     FileVersion,
		Cluster:     spec.Cluster,
		Token:       marker.Token,
		Name:        h.Name,
		Sealed:      marker.Phase == cluster.Sealed,
		Member:      cluster.BootstrapMemberID(spec.PeerURL(h.Name, h.Ports.Peer), marker.Token),
		ID:          ClusterID(spec, marker.Token, members),
		Paths:       h.Paths,
		PeerAddress: hostPort(h.Address.String(), h.Ports.Peer),
		Resolver:    resolver,
		Gate:        gate(spec, members),
		Args:        args(spec, marker, members, h),
	}
	if spec.TLS {
		n.Names = []string{spec.HostName(h.Name), spec.Domain, h.Address.String()}
		if h.Address.IsLoopback() && h.Address.String() != "127.0.0.1" {
			// All of 127.0.0.0/8 is dialled from 127.0.0.1, and etcd checks
			// the source address of a peer against its certificate.
			n.Names = append(n.Names, "127.0.0.1")
		}
	}
	if n.Sealed {
		n.Pins = map[string]string{}
		for _, m := range members {
			n.Pins[spec.HostName(m.Name)] = m.Address.String()
		}
	}
	return n
}

// ClusterID is the ID that etcd must give a cluster bootstrapped on these hosts.
func ClusterID(spec cluster.Spec, token cluster.Token, members []cluster.Host) cluster.ID {
	ids := make([]cluster.MemberID, len(members))
	for i, m := range members {
		ids[i] = cluster.BootstrapMemberID(spec.PeerURL(m.Name, m.Ports.Peer), token)
	}
	return cluster.BootstrapID(ids)
}

// Encode is the member file.
func (n Node) Encode() []byte {
	b, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("encode node: %v", err)) // a Node holds nothing that JSON cannot
	}
	return append(b, '\n')
}

// Decode reads a member file.
func Decode(b []byte) (Node, error) {
	var n Node
	if err := json.Unmarshal(b, &n); err != nil {
		return n, fmt.Errorf("read %s: %w", FileName, err)
	}
	if n.Version != FileVersion {
		return n, fmt.Errorf("read %s: version %d, this pleiad reads version %d", FileName, n.Version, FileVersion)
	}
	return n, nil
}

// Digest tells whether a host holds this very node.
func (n Node) Digest() string { return digest(n.Encode()) }

// Flags is the digest of what a running etcd was started with and could only
// change by a restart: its flags, less those that a started member ignores.
func (n Node) Flags() string {
	var lasting []string
	for _, a := range n.Args {
		if !strings.HasPrefix(a, "--initial-") && !strings.HasPrefix(a, "--discovery-") {
			lasting = append(lasting, a)
		}
	}
	return digest([]byte(strings.Join(lasting, "\n")))
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

func gate(spec cluster.Spec, members []cluster.Host) Gate {
	g := Gate{Service: spec.ServerService()}
	for _, m := range members {
		g.Peers = append(g.Peers, Peer{Target: spec.HostName(m.Name) + ".", Port: m.Ports.Peer, Address: m.Address.String()})
	}
	return g
}

// args are the flags of etcd for one member, in the order of etcd's
// documentation; the user's options follow and were checked by [CheckOption].
func args(spec cluster.Spec, marker cluster.Marker, members []cluster.Host, h cluster.Host) []string {
	ip, scheme := h.Address.String(), spec.Scheme()
	a := []string{
		"--name=" + string(h.Name),
		"--data-dir=" + h.Paths.Data,
		"--listen-peer-urls=" + scheme + "://" + hostPort(ip, h.Ports.Peer),
		"--listen-client-urls=" + scheme + "://" + hostPort(ip, h.Ports.Client),
		"--listen-metrics-urls=http://" + hostPort(metricsHost(h), h.Ports.Metrics),
		"--initial-advertise-peer-urls=" + spec.PeerURL(h.Name, h.Ports.Peer),
		"--advertise-client-urls=" + spec.ClientURL(h.Name, h.Ports.Client),
		"--initial-cluster-token=" + string(marker.Token),
	}
	a = append(a, membership(spec, marker, members)...)
	if spec.TLS {
		a = append(a, tlsArgs(h.Paths.Config)...)
	}
	a = append(a, logArgs(h.Paths.Log)...)
	options := defaults()
	for k, v := range spec.Etcd.Options {
		options[k] = v
	}
	for _, k := range slices.Sorted(maps.Keys(options)) {
		a = append(a, "--"+k+"="+options[k])
	}
	return a
}

// membership is how a starting member learns of its peers: from DNS on first
// boot; from its own data, without any DNS, once the cluster is sealed (rules
// R1, R9). --initial-cluster is then unread by etcd and stands for people.
func membership(spec cluster.Spec, marker cluster.Marker, members []cluster.Host) []string {
	if marker.Phase == cluster.Sealed {
		list := make([]string, len(members))
		for i, m := range members {
			list[i] = string(m.Name) + "=" + spec.PeerURL(m.Name, m.Ports.Peer)
		}
		return []string{"--initial-cluster=" + strings.Join(list, ","), "--initial-cluster-state=existing"}
	}
	a := []string{"--initial-cluster-state=new", "--discovery-srv=" + spec.Domain}
	if spec.DiscoveryName != "" {
		a = append(a, "--discovery-srv-name="+spec.DiscoveryName)
	}
	return a
}

// tlsArgs always name the trust files: without --peer-trusted-ca-file etcd
// would verify the discovery domain at first boot and the host name later.
func tlsArgs(config string) []string {
	ca, cert, key := path.Join(config, CAFile), path.Join(config, CertFile), path.Join(config, KeyFile)
	return []string{
		"--cert-file=" + cert, "--key-file=" + key, "--trusted-ca-file=" + ca, "--client-cert-auth=true",
		"--peer-cert-file=" + cert, "--peer-key-file=" + key, "--peer-trusted-ca-file=" + ca, "--peer-client-cert-auth=true",
		"--tls-min-version=TLS1.2",
	}
}

// logArgs keep the log bounded: three files of 10 MB. etcd with a dead peer
// writes hundreds of megabytes a day.
func logArgs(file string) []string {
	if file == "" {
		return []string{"--logger=zap", "--log-outputs=stderr"}
	}
	return []string{"--logger=zap", "--log-outputs=" + file, "--enable-log-rotation=true",
		`--log-rotation-config-json={"maxsize": 10, "maxage": 0, "maxbackups": 2, "localtime": false, "compress": false}`}
}

// metricsHost is where metrics are served without TLS: never beyond the host.
func metricsHost(h cluster.Host) string {
	if h.Address.IsLoopback() {
		return h.Address.String()
	}
	return "127.0.0.1"
}

func hostPort(host string, port uint16) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(int(port))
}
