// Package agent is what pleiad does on a machine on behalf of a controller
// elsewhere: `pleiad agent`, started over SSH as root, reads requests from
// standard input, answers on standard output, and exits when the connection
// ends. It is the far half of delivery by systemd; package member is what it
// delivers, package node says where everything lies.
//
// [Serve] is the far side, [Client] the near one, [Host] does the work. A
// controller and an agent of different versions refuse each other at once.
//
// What it promises: every file is compared before it is written and replaced
// atomically; member.json, which says that a node was delivered, goes first
// when what stands beside it changes, and comes back last. So a crash of
// either side at any moment leaves a machine that is seen as not delivered to,
// and the next delivery goes over it again. Nothing but [Host.Clear] touches
// data, and what it is told to keep it moves aside (rule R14). The member, once
// compromised, owns the folders of its files and may put anything in their place:
// what is read or written there is read or written with the rights of its user,
// and never waited for.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
)

// The kinds of error that a controller acts on.
var (
	// ErrOccupied: something else listens on the member's address.
	ErrOccupied = errors.New("address already in use")
	// ErrBusy: the member runs.
	ErrBusy = errors.New("the member is running")
	// ErrNoFormer: there is nothing to go back to.
	ErrNoFormer = errors.New("nothing is kept that the member was started with before")
	// ErrVolumeMissing: the device with the member's data is not there.
	ErrVolumeMissing = errors.New("the member's data volume is missing")
)

// Host is the machine that the agent runs on.
type Host struct {
	// Root is where the machine's files begin: "/", or a folder in tests. Paths
	// of a cluster.Host are taken as they are.
	Root string
	// Run runs one of the machine's own programs and returns what it printed.
	// The error holds what it said.
	Run func(ctx context.Context, program string, args ...string) (string, error)
	// User finds the member's user, and makes it if asked to.
	User func(ctx context.Context, create bool) (User, error)
	// Dial connects to a name server.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// User is who runs the member; the zero User if there is none yet. Finding it
// takes a process, so each request does it once.
type User struct {
	UID, GID int
	// Ours says that pleiad made it, and may remove it.
	Ours bool
}

func (h *Host) path(path string) string { return filepath.Join(h.Root, path) }

// state is the folder of all that the member writes.
func state(p cluster.Paths) string { return filepath.Dir(p.Config) }

// replace makes a file of root's.
func (h *Host) replace(path string, content []byte, mode fs.FileMode) (bool, error) {
	return durable.Replace(durable.File{Path: h.path(path), Content: content, Mode: mode, UID: -1, GID: -1})
}

// status is the status file of the last process of a member.
func status(u User, host cluster.Host) (s member.Status, err error) {
	err = as(u, func() error {
		s, err = member.ReadStatus(host.Paths.Config)
		return err
	})
	return s, err
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func wrap(act string, name cluster.MemberName, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", act, name, err)
}
