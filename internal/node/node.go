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
	"net/netip"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// FileVersion is the version of the member file that we write and read.
const FileVersion = 1

// FileName of a node, in the host's configuration folder (Paths.Config).
const FileName = "member.json"

// Node is what `pleiad member` reads on a host. It is stored as JSON.
type Node struct {
	Version int                `json:"version"`
	Cluster cluster.Name       `json:"cluster"`
	Token   cluster.Token      `json:"token"`
	Name    cluster.MemberName `json:"name"`
	// Sealed says that the cluster's bootstrap is over, or given up: a missing
	// data directory then means lost data, never a first start (rules R1, R6),
	// unless Join is set.
	Sealed bool `json:"sealed"`
	// Join says that the member is joining the sealed cluster: without data it may
	// start for the first time, as the one that etcd lists and that has never
	// started. Once it serves, its node is delivered without it.
	Join bool `json:"join,omitempty"`
	// Generation is the marker's at delivery. It is not part of the digest: no
	// node is delivered again for it.
	Generation uint64 `json:"generation,omitempty"`
	// Member and ID are the IDs that the data directory must carry: the ID of
	// a member that bootstraps, and the cluster's, which stays what it was at
	// bootstrap however its members change.
	Member cluster.MemberID `json:"member"`
	ID     cluster.ID       `json:"id"`
	Paths  cluster.Paths    `json:"paths"`
	// PeerAddress is host:port of the peer listener, for knowing that it is up.
	PeerAddress string `json:"peerAddress"`
	// Resolver is host:port of the name server that etcd on this host uses;
	// empty for the host's own resolver.
	Resolver string `json:"resolver,omitempty"`
	// Gate is what must be seen before the first start: in DNS by a founder, in
	// etcd's own list by a member that joins.
	Gate Gate `json:"gate"`
	// Pins are peers whose addresses need no DNS once the cluster is sealed
	// (rule R9): host name without trailing dot to IP address.
	Pins map[string]string `json:"pins,omitempty"`
	// Names are what the member's certificate must be valid for, IP addresses
	// included; empty without TLS.
	Names []string `json:"names,omitempty"`
	// Args are etcd's flags, those of the user's options last.
	Args []string `json:"args"`
	// Release is the official etcd that runs instead of the bundled one.
	Release *Release `json:"release,omitempty"`
	// DataDevice is the block device that holds the data; empty for none.
	DataDevice string `json:"dataDevice,omitempty"`
}

// Release is an official release of etcd as a host gets it.
type Release struct {
	Version string `json:"version"`
	// URL of the tarball without the end that names the architecture.
	URL string `json:"url"`
	// SHA256 of the tarballs, in hexadecimal, by architecture.
	SHA256 map[string]string `json:"sha256"`
}

// Tarball is where the release for an architecture is, as Go names it.
func (r Release) Tarball(arch string) string { return r.URL + "-linux-" + arch + ".tar.gz" }

// Gate is the exact list of members that must be seen (rule R3).
type Gate struct {
	// Service is the SRV owner name, with trailing dot.
	Service string `json:"service"`
	// Peers are all expected targets, sorted by member name.
	Peers []Peer `json:"peers"`
}

// Peer is one expected SRV value and the address its target resolves to.
type Peer struct {
	Target  string `json:"target"` // with trailing dot
	Port    uint16 `json:"port"`
	Address string `json:"address"`
}

// Name is the peer's name as a member.
func (p Peer) Name() cluster.MemberName {
	name, _, _ := strings.Cut(p.Target, ".")
	return cluster.MemberName(name)
}

// URL is the peer's URL, as etcd lists it.
func (p Peer) URL(scheme string) string {
	return fmt.Sprintf("%s://%s:%d", scheme, strings.TrimSuffix(p.Target, "."), p.Port)
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
		Sealed:      marker.Phase != cluster.Bootstrapping,
		Join:        marker.Phase == cluster.Sealed && marker.Op.Kind == cluster.Add && marker.Op.Member == h.Name,
		Generation:  marker.Generation,
		Member:      spec.MemberID(marker, h),
		ID:          marker.ID,
		Paths:       h.Paths,
		PeerAddress: listen(h, h.Ports.Peer),
		Resolver:    resolver,
		Gate:        gate(spec, members),
		Args:        args(spec, marker, members, h),
		DataDevice:  spec.DataDevice(),
	}
	if n.ID == 0 {
		n.ID = ClusterID(spec, marker.Token, members)
	}
	if spec.TLS {
		n.Names = names(spec, h)
	}
	if r := spec.Etcd.Release; r != nil {
		n.Release = &Release{Version: r.Version, URL: fmt.Sprintf("%s/v%s/etcd-v%s", r.BaseURL, r.Version, r.Version), SHA256: r.SHA256}
	}
	if n.Sealed {
		n.Pins = map[string]string{}
		for _, m := range members {
			n.Pins[spec.HostName(m.Name)] = m.Address.Unmap().String()
		}
	}
	return n
}

// names are what a member's certificate must be valid for: its own name for
// clients and peers, the domain for whoever verifies that instead, its address
// because etcd checks where a peer dials from.
func names(spec cluster.Spec, h cluster.Host) []string {
	addr := h.Address.Unmap()
	n := []string{spec.HostName(h.Name), spec.Domain, addr.String()}
	if addr.Is4() && addr.IsLoopback() && addr.String() != "127.0.0.1" {
		// All of 127.0.0.0/8 is dialled from 127.0.0.1.
		n = append(n, "127.0.0.1")
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
	// The version first and alone: another version may have other fields.
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return Node{}, fmt.Errorf("read %s: %w", FileName, err)
	}
	if v.Version != FileVersion {
		return Node{}, fmt.Errorf("read %s: version %d, this pleiad reads version %d", FileName, v.Version, FileVersion)
	}
	var n Node
	if err := json.Unmarshal(b, &n); err != nil {
		return Node{}, fmt.Errorf("read %s: %w", FileName, err)
	}
	return n, nil
}

// Digest tells whether a host holds this very node.
func (n Node) Digest() string {
	n.Generation = 0
	return digest(n.Encode())
}

// Made is what the node was made from.
func (n Node) Made() cluster.Made {
	m := cluster.Made{Token: n.Token, Member: n.Member, ID: n.ID, Generation: n.Generation, Joins: n.Join}
	for _, p := range n.Gate.Peers {
		m.Members = append(m.Members, p.Name())
		address, _ := netip.ParseAddr(p.Address) // of no use, if somebody has edited it
		m.At = append(m.At, netip.AddrPortFrom(address, p.Port))
	}
	return m
}

// Flags is the digest of what a running etcd was started with and could only
// change by a restart: its flags, less those that a started member ignores.
func (n Node) Flags() string {
	lasting := n.Lasting()
	if n.Release != nil {
		lasting = append(lasting, "etcd "+n.Release.Version)
	}
	return digest([]byte(strings.Join(lasting, "\n")))
}

// Lasting are the flags that a running etcd was started with, and could only change by
// a restart.
func (n Node) Lasting() []string {
	var lasting []string
	for _, a := range n.Args {
		if strings.HasPrefix(a, "--initial-cluster") || strings.HasPrefix(a, "--initial-advertise-") || strings.HasPrefix(a, "--discovery-") {
			continue
		}
		lasting = append(lasting, a)
	}
	return lasting
}

// Differences says what is different between two lists of flags, one a line, such as
// "heartbeat-interval is 100, want 200".
func Differences(have, want []string) []string {
	now, then := flagsOf(have), flagsOf(want)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if value, wanted := then[name]; !wanted {
			out = append(out, fmt.Sprintf("%s is %s, want none", name, now[name]))
		} else if value != now[name] {
			out = append(out, fmt.Sprintf("%s is %s, want %s", name, now[name], value))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(then)) {
		if _, given := now[name]; !given {
			out = append(out, fmt.Sprintf("%s is not given, want %s", name, then[name]))
		}
	}
	return out
}

func flagsOf(args []string) map[string]string {
	out := map[string]string{}
	for _, a := range args {
		name, value, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		out[name] = value
	}
	return out
}

// Runs is the program that the member runs as: a pleiad, and the etcd that takes its
// place if there is a release.
func (n Node) Runs(p cluster.Program) cluster.Program {
	if n.Release != nil {
		p.Etcd = n.Release.Version
	}
	return p
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

func gate(spec cluster.Spec, members []cluster.Host) Gate {
	g := Gate{Service: spec.ServerService()}
	for _, m := range members {
		g.Peers = append(g.Peers, Peer{Target: spec.HostName(m.Name) + ".", Port: m.Ports.Peer, Address: m.Address.Unmap().String()})
	}
	return g
}
