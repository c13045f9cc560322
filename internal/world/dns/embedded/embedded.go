// Package embedded is pleiad's own name server: a small authoritative server
// for one zone, the discovery domain, and the provider that starts it and
// writes to it. It takes dynamic updates (RFC 2136) signed with TSIG, so that
// the local default goes through the very protocol that BIND gets; package
// rfc2136 is its client.
//
// [Serve] is what the child process runs, [New] makes the provider that starts
// such a child, [Load] reads the records when none runs. All three work on one
// folder:
//
//	settings.json  zone and address, chosen once
//	tsig.key       the key that updates need (secret)
//	zone           the records, a master file (RFC 1035) with a checksum
//	server.json    who serves, where; written while it does
//	lock           held by the serving process
//	log            what the child says
//
// What it promises: an acknowledged update survives any crash; an update is
// applied completely or not at all; a damaged zone file is an error that names it and
// never an empty zone. The folder appears whole or not at all, so a folder
// without a zone file is damage and not a new zone (rule R1).
//
// It is not a general name server: no recursion, transfers, delegations,
// aliases, wildcards or DNSSEC.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/pleiad-etcd/pleiad/internal/system/folder"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// Serve serves the zone in a folder until ctx ends; it returns nil then, and
// otherwise why it cannot serve. The folder must have been made by [Create],
// as [Provider.Start] does. It binds the folder's address, and as root on Linux port
// 53 of the same IP too, if that is free.
func Serve(ctx context.Context, dir string, log *slog.Logger) error {
	lock, err := process.Acquire(filepath.Join(dir, lockFile))
	if err != nil {
		return fmt.Errorf("serve DNS from %s: %w", dir, err)
	}
	err = serve(ctx, dir, log)
	if err != nil {
		err = fmt.Errorf("serve DNS from %s: %w", dir, err)
	}
	return errors.Join(err, lock.Release())
}

func serve(ctx context.Context, dir string, log *slog.Logger) error {
	set, err := readSettings(dir)
	if err != nil {
		return err
	}
	s, err := openServer(dir, set, log)
	if err != nil {
		return err
	}
	sockets, err := bind(ctx, set.Address)
	if err != nil {
		return err
	}
	standard, port53 := bindStandard(ctx, set.Address, log)
	self, err := process.Self()
	if err == nil {
		set.Folder, err = folder.Of(dir)
	}
	if err != nil {
		return errors.Join(err, sockets.close(), standard.close())
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer wg.Wait()
	defer cancel()
	sockets.serve(ctx, &wg, s)
	standard.serve(ctx, &wg, s)
	state := serverState{Version: fileVersion, Process: self, Address: set.Address, Port53: port53, Folder: set.Folder, Dir: dir}
	if err := writeJSON(filepath.Join(dir, stateFile), state); err != nil {
		return err
	}
	log.Info("serving", "zone", set.Zone, "address", set.Address, "port53", port53, "serial", s.zone.Load().serial())
	<-ctx.Done()
	cancel()
	wg.Wait()
	log.Info("stopped", "serial", s.zone.Load().serial())
	return os.Remove(filepath.Join(dir, stateFile))
}
