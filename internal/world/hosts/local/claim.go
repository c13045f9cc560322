package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/system/folder"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

const (
	claimFile    = "host.json"
	claimVersion = 1
)

// claim is host.json: whose host a folder is, and where it listens. It never
// changes once written, unless a copy takes the place of the host ([Provider.TakeOver]).
type claim struct {
	Version int                `json:"version"`
	Cluster cluster.Name       `json:"cluster"`
	Name    cluster.MemberName `json:"name"`
	Token   cluster.Token      `json:"token"`
	Address netip.Addr         `json:"address"`
	Ports   cluster.Ports      `json:"ports"`
	// Folder is the folder that became the host. Another one with this claim is
	// a copy, and its data may be older than what the member acknowledged.
	Folder folder.ID `json:"folder,omitempty"`
}

// claimOf reads the claim of a host of ours. The error says that there is none
// (absent), that it is somebody else's, or that it cannot be read.
func (p *Provider) claimOf(name cluster.MemberName) (claim, error) {
	c, none := p.readClaim(name)
	if !absent(none) {
		return c, none
	}
	lost, err := evidence(p.folder(name))
	if err != nil {
		return claim{}, err
	}
	if lost == "" {
		return claim{}, none
	}
	// It may have been launched and delivered to while we looked, or
	// terminated.
	if c, err := p.readClaim(name); !absent(err) {
		return c, err
	}
	if _, err := os.Lstat(lost); absent(err) {
		return claim{}, none
	}
	return claim{}, fmt.Errorf("%s holds %s but no %s, so it counts as one that %w; put the file back or move the folder away",
		p.folder(name), filepath.Base(lost), claimFile, hosts.ErrForeign)
}

// evidence finds what only a host can hold: data, the memory of data, or a
// delivered member.
func evidence(folder string) (string, error) {
	for _, path := range []string{filepath.Join(folder, dataFolder), filepath.Join(folder, bornFile), filepath.Join(folder, configFolder, memberFile)} {
		if _, err := os.Lstat(path); err == nil {
			return path, nil
		} else if !absent(err) {
			return "", err
		}
	}
	return "", nil
}

func (p *Provider) readClaim(name cluster.MemberName) (claim, error) {
	file := filepath.Join(p.folder(name), claimFile)
	b, err := untrusted.Read(file, hosts.MaxClaim)
	if err != nil {
		return claim{}, err
	}
	c, err := decodeClaim(b)
	if err != nil {
		return claim{}, fmt.Errorf("%s: %w", file, err)
	}
	if c.Cluster != p.cluster || c.Name != name {
		return claim{}, fmt.Errorf("%s is of host %q of cluster %q, want %q of %q: %w", file, c.Name, c.Cluster, name, p.cluster, hosts.ErrForeign)
	}
	return c, nil
}

// decodeClaim reads host.json. The version comes first: of a newer one nothing
// else is understood.
func decodeClaim(b []byte) (claim, error) {
	var c claim
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return c, fmt.Errorf("no host file (%v): %w", err, hosts.ErrForeign)
	}
	if v.Version > claimVersion {
		return c, fmt.Errorf("version %d was written by a newer pleiad; this one reads version %d", v.Version, claimVersion)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("no host file (%v): %w", err, hosts.ErrForeign)
	}
	if c.Version != claimVersion || !c.Address.IsLoopback() || c.Ports.Peer == 0 || c.Ports.Client == 0 || c.Ports.Metrics == 0 {
		return c, fmt.Errorf("no host file (version, address or ports are missing): %w", hosts.ErrForeign)
	}
	return c, nil
}

// write puts the claim in place: whole or not at all, and durably.
func (c claim) write(folder string) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	_, err = durable.Replace(durable.Private(filepath.Join(folder, claimFile), append(b, '\n')))
	return err
}

// absent says that a path does not exist, also where a file stands in place of
// one of its folders.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
