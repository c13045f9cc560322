// Package fakemember is what `pleiad member` is to delivery, for tests: a
// process that takes the lock, says who it is, and does as it was told, without
// etcd and its weight. A test binary plays it ([Run], from its TestMain), and
// tells it what to do ([Behave]) before it starts it.
package fakemember

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/delivertest"
)

// Behaviour is delivertest.Behaviour, and worse.
type Behaviour struct {
	delivertest.Behaviour
	// Die before the lock is taken, with this on standard error.
	Die string
	// LateStatus waits so long between lock and status.
	LateStatus time.Duration
	// Crash ends it after it has listened, with this as the last line of its log.
	Crash string
	// Environment is a file in which it leaves its environment.
	Environment string
}

// Behave says in a file what a member does from its next start on.
func Behave(file string, b Behaviour) error {
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// Run is the member of a config folder, which does what a file says. Its error
// is why it ended.
func Run(config, behaviour string) error {
	var b Behaviour
	text, err := os.ReadFile(behaviour)
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	if err != nil {
		return err
	}
	if b.Environment != "" {
		if err := os.WriteFile(b.Environment, []byte(strings.Join(os.Environ(), "\n")), 0o600); err != nil {
			return err
		}
	}
	if b.Die != "" {
		return errors.New(b.Die)
	}
	lock, err := process.Acquire(filepath.Join(config, member.LockFile))
	if err != nil {
		return err
	}
	defer lock.Release()
	time.Sleep(b.LateStatus) // stands for a slow machine; what waits for it polls
	file, err := os.ReadFile(filepath.Join(config, node.FileName))
	if err != nil {
		return err
	}
	n, err := node.Decode(file)
	if err != nil {
		return err
	}
	self, err := process.Self()
	if err != nil {
		return err
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	s := member.Status{Version: member.StatusVersion, Process: self, Since: time.Now().UTC(), Flags: n.Flags(),
		Gate: b.Gate, Exit: b.Refuse}
	status, err := json.Marshal(s)
	if err != nil {
		return err
	}
	path := filepath.Join(config, member.StatusFile)
	if err := os.WriteFile(path+".tmp", status, 0o600); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	switch {
	case b.Refuse != "":
		return errors.New(b.Refuse)
	case b.Gate != "":
		<-terminated
		return nil
	}
	return serve(n, b, terminated)
}

func serve(n node.Node, b Behaviour, terminated <-chan os.Signal) error {
	folder := filepath.Join(n.Paths.Data, "member", "wal")
	if _, err := os.Stat(folder); err != nil {
		if err := os.MkdirAll(filepath.Dir(folder), 0o700); err != nil {
			return err
		}
		// Says that what is half made beside it is a first start's.
		if err := os.WriteFile(filepath.Join(filepath.Dir(folder), "pleiad-first-start"), []byte(n.Token), 0o600); err != nil {
			return err
		}
		head, err := proto.Marshal(&etcdserverpb.Metadata{NodeID: new(uint64(n.Member)), ClusterID: new(uint64(n.ID))})
		if err != nil {
			return err
		}
		w, err := wal.Create(zap.NewNop(), folder, head)
		if err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
	addresses := []string{n.PeerAddress}
	for _, a := range n.Args {
		if metrics, ok := strings.CutPrefix(a, "--listen-metrics-urls=http://"); ok {
			addresses = append(addresses, metrics) // the last one, as in etcd
		}
	}
	for _, a := range addresses {
		l, err := net.Listen("tcp", a)
		if err != nil {
			return err
		}
		defer l.Close()
	}
	if b.Crash != "" {
		fmt.Fprintf(os.Stderr, `{"level":"fatal","ts":%q,"msg":%q}`+"\n", time.Now().UTC().Format("2006-01-02T15:04:05.000000Z0700"), b.Crash)
		return nil
	}
	for range terminated {
		if !b.Stubborn {
			break
		}
	}
	return nil
}
