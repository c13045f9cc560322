package member

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/bound"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// List is etcd's list of members as one peer serves it.
type List struct {
	Cluster cluster.ID
	Members []cluster.Member
}

// CheckJoin compares the lists that the peers of a joining member serve with the
// one in its node (rule R3), and returns what it has to wait for, in a fixed
// order; nothing if the member may start. etcd takes the list of whichever peer
// answers it first, and ends if that is another one: so the list of each peer
// that answers must be right. One that lags behind is waited for; one that does
// not answer may be down, as long as another one answers.
//
// The error is a [*Refusal]: what these lists say does not change by waiting. A
// name on the list means that the member has started before, somewhere (rule R6).
func CheckJoin(n node.Node, lists map[cluster.MemberName]cluster.Seen[List]) (wrong []string, err error) {
	own, rest := split(n)
	answered, silent := 0, []string{}
	for _, p := range rest {
		list, known := lists[p.Name()].Get()
		if !known {
			silent = append(silent, fmt.Sprintf("%s does not answer: %s", p.Name(), lists[p.Name()].Why()))
			continue
		}
		answered++
		if list.Cluster != n.ID {
			return nil, &Refusal{Rule: "R3", Why: fmt.Sprintf("%s at %s is in cluster %s, not %s", p.Name(), p.Address, list.Cluster, n.ID), Do: "run pleiad up, which says what is wrong with that member"}
		}
		if err := checkEntry(n, p.Name(), list, own.URL(scheme(n))); err != nil {
			return nil, err
		}
		wrong = append(wrong, checkList(n, p.Name(), list)...)
	}
	if answered == 0 {
		return silent, nil
	}
	return wrong, nil
}

// split finds the member itself among the peers of its gate.
func split(n node.Node) (own node.Peer, rest []node.Peer) {
	for _, p := range n.Gate.Peers {
		if p.Name() == n.Name {
			own = p
		} else {
			rest = append(rest, p)
		}
	}
	return own, rest
}

// checkEntry refuses a start as another member than the one that etcd lists, or
// as one that has started before.
func checkEntry(n node.Node, peer cluster.MemberName, list List, own string) error {
	for _, m := range list.Members {
		if !slices.Contains(m.PeerURLs, own) {
			continue
		}
		if m.ID != n.Member {
			return &Refusal{Rule: "R6", Why: fmt.Sprintf("%s lists %s as member %s, not %s", peer, own, m.ID, n.Member), Do: deliverAgain}
		}
		if m.Name != "" {
			return &Refusal{Rule: "R6", Why: fmt.Sprintf("%s lists member %s as %s: it has started before, but there is no data in %s", peer, m.ID, m.Name, n.Paths.Data), Do: putBackOrReplace}
		}
	}
	return nil
}

// checkList compares the peer URLs of one list with those of the node.
func checkList(n node.Node, peer cluster.MemberName, list List) (wrong []string) {
	var left []string
	for _, m := range list.Members {
		left = append(left, m.PeerURLs...)
	}
	slices.Sort(left)
	for _, p := range n.Gate.Peers {
		want := p.URL(scheme(n))
		if i := slices.Index(left, want); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else {
			wrong = append(wrong, fmt.Sprintf("the list of %s lacks %s", peer, want))
		}
	}
	for _, other := range left {
		wrong = append(wrong, fmt.Sprintf("the list of %s has %s, which is not expected", peer, other))
	}
	return wrong
}

// passJoinGate asks the peers until each that answers lists this member, as one
// that has never started, and otherwise whom its node does. It asks no name
// server, and neither does etcd then: the node has the addresses.
func passJoinGate(ctx context.Context, j *journal, n node.Node, log *logger) error {
	if own, rest := split(n); own.Target == "" || len(rest) == 0 {
		return &Refusal{Rule: "R3", Why: fmt.Sprintf("%s is to join a cluster, and %s has no peers beside it", n.Name, node.FileName), Do: deliverAgain}
	}
	if err := waitAtJoinGate(ctx, n, waits(j, log)); err != nil {
		return err
	}
	if err := pinPeers(ctx, n, n.Pins, log); err != nil {
		return err
	}
	tellSystemd("the start gate has opened: its peers list it as a member")
	return j.note(func(s *Status) { s.Gate = "" })
}

// waitAtJoinGate asks the peers until their lists are right; see [waitFor].
func waitAtJoinGate(ctx context.Context, n node.Node, told func(wrong string) error) error {
	return waitFor(ctx, n, func(ctx context.Context) ([]string, error) { return CheckJoin(n, askPeers(ctx, n)) }, told)
}

// askPeers asks all peers at once for their list, for at most [gateRound].
func askPeers(ctx context.Context, n node.Node) map[cluster.MemberName]cluster.Seen[List] {
	ctx, cancel := context.WithTimeout(ctx, gateRound)
	defer cancel()
	_, rest := split(n)
	lists := map[cluster.MemberName]cluster.Seen[List]{}
	client, err := peerClient(n)
	if err != nil {
		for _, p := range rest {
			lists[p.Name()] = cluster.Unknown[List](err.Error())
		}
		return lists
	}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	var mu sync.Mutex // guards lists
	for _, p := range rest {
		wg.Go(func() {
			seen := cluster.Unknown[List]("no answer in time")
			list, err := askPeer(ctx, client, p.URL(scheme(n)))
			if err == nil {
				seen = cluster.Known(list)
			} else if ctx.Err() == nil {
				seen = cluster.Unknown[List](err.Error())
			}
			mu.Lock()
			defer mu.Unlock()
			lists[p.Name()] = seen
		})
	}
	wg.Wait()
	return lists
}

// peerClient speaks to peers as etcd does, with the member's own certificate, and
// dials the addresses in the node, whatever a resolver or a hosts file says.
func peerClient(n node.Node) (*http.Client, error) {
	at := map[string]string{}
	for _, p := range n.Gate.Peers {
		name := strings.TrimSuffix(p.Target, ".")
		at[net.JoinHostPort(name, fmt.Sprint(p.Port))] = net.JoinHostPort(p.Address, fmt.Sprint(p.Port))
	}
	t := &http.Transport{MaxResponseHeaderBytes: 64 << 10, DialContext: func(ctx context.Context, network, name string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, at[name])
	}}
	if scheme(n) == "https" {
		var err error
		if t.TLSClientConfig, err = peerTLS(n.Paths.Config); err != nil {
			return nil, err
		}
	}
	// Not to wherever an answer leads.
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

func peerTLS(configDir string) (*tls.Config, error) {
	var files [3][]byte
	for i, name := range []string{node.PeerCAFile, node.PeerCertFile, node.PeerKeyFile} {
		var err error
		if files[i], err = untrusted.Read(filepath.Join(configDir, name), untrusted.Small); err != nil {
			return nil, fmt.Errorf("read credentials: %w", err)
		}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(files[0]) {
		return nil, fmt.Errorf("read credentials: %s holds no certificate", node.PeerCAFile)
	}
	pair, err := tls.X509KeyPair(files[1], files[2])
	if err != nil {
		return nil, fmt.Errorf("read credentials: %s: %w", node.PeerCertFile, err)
	}
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// askPeer gets the list that a peer has applied (etcd
// server/etcdserver/api/etcdhttp/peer.go, and membership/member.go for its form).
func askPeer(ctx context.Context, client *http.Client, at string) (List, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/members", nil)
	if err != nil {
		return List{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return List{}, brief(err)
	}
	defer resp.Body.Close()
	b, err := bound.ReadAll(resp.Body, untrusted.Small)
	if err != nil {
		return List{}, fmt.Errorf("read its list of members: %w", brief(err))
	}
	if resp.StatusCode != http.StatusOK {
		return List{}, fmt.Errorf("asked for its list of members, it says %s", resp.Status)
	}
	return readList(resp.Header.Get("X-Etcd-Cluster-ID"), b)
}

func readList(id string, b []byte) (List, error) {
	var entries []struct {
		ID       uint64             `json:"id"`
		Name     cluster.MemberName `json:"name"`
		PeerURLs []string           `json:"peerURLs"`
		Learner  bool               `json:"isLearner"`
	}
	if err := json.Unmarshal(b, &entries); err != nil {
		return List{}, fmt.Errorf("read its list of members: %w", err)
	}
	number, err := strconv.ParseUint(id, 16, 64)
	if err != nil || number == 0 || len(entries) == 0 {
		return List{}, errors.New("it serves no list of members yet")
	}
	l := List{Cluster: cluster.ID(number)}
	for _, e := range entries {
		l.Members = append(l.Members, cluster.Member{ID: cluster.MemberID(e.ID), Name: e.Name, PeerURLs: e.PeerURLs, Learner: e.Learner})
	}
	return l, nil
}

// brief is an error of a call without the URL, and without the ports that are new
// each time: what does not change is told once.
func brief(err error) error {
	var call *url.Error
	if errors.As(err, &call) {
		err = call.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return err
}
