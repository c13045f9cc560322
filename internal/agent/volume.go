package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/node"
)

// volume makes the file system of the data device, if the device is blank, and
// mounts it where etcd's data goes. Once there is a mount unit of ours, the
// device is never looked at again but by the identifier in it: names of devices
// change.
func (i *installing) volume(ctx context.Context) error {
	if i.node.DataDevice == "" {
		return nil
	}
	there, err := exists(i.path(node.MountFile))
	if err != nil || there {
		return err
	}
	if err := i.blank(ctx); err != nil {
		return err
	}
	device := i.node.DataDevice
	if _, err := i.Run(ctx, "mkfs.ext4", "-q", "-L", "pleiad-data", device); err != nil {
		return err
	}
	uuid, err := i.Run(ctx, "blkid", "--match-tag", "UUID", "--output", "value", "--probe", device)
	if err != nil {
		return err
	}
	if err := i.mountPoint(); err != nil {
		return err
	}
	if _, err := i.replace(node.MountFile, i.node.Mount(strings.TrimSpace(uuid)), 0o644); err != nil {
		return err
	}
	i.note(true, node.MountFile)
	if err := i.systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	if err := i.systemctl(ctx, "enable", "--quiet", "--now", node.MountName); err != nil {
		return err
	}
	return chown(i.node.Paths.Data, i.user)
}

func (i *installing) mountPoint() error {
	err := os.Mkdir(i.node.Paths.Data, 0o700)
	if os.IsExist(err) {
		return nil
	}
	return err
}

// sniff is how much of a device must be zero for it to count as blank: more
// than where partition tables and file systems begin.
const sniff = 1 << 20

// blank makes sure that nothing is on the data device: no signature that blkid
// knows, no partition, no mount, and nothing but zeros where things begin. A
// file system of ours from a delivery that was cut short is made again: it
// bears our label and holds nothing.
func (i *installing) blank(ctx context.Context) error {
	device := i.node.DataDevice
	notBlank := func(format string, args ...any) error {
		return fmt.Errorf("%s: %w: %s; give the cluster another device, or clear it yourself if nobody needs what is on it: wipefs --all %s",
			device, ErrNotBlank, fmt.Sprintf(format, args...), device)
	}
	out, err := i.Run(ctx, "lsblk", "--noheadings", "--output", "NAME,MOUNTPOINTS,LABEL", "--raw", device)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) > 1 {
		return notBlank("it has partitions")
	}
	if f := strings.Fields(lines[0]); len(f) > 1 {
		if f[len(f)-1] == "pleiad-data" && len(f) == 2 {
			return nil
		}
		return notBlank("it is in use: %s", strings.Join(f[1:], " "))
	}
	if signature, _ := i.Run(ctx, "blkid", "--probe", device); strings.TrimSpace(signature) != "" { // exits 2 where it finds nothing
		return notBlank("%s", strings.TrimSpace(signature))
	}
	f, err := os.Open(i.path(device))
	if err != nil {
		return err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, sniff))
	if err != nil {
		return err
	}
	if !bytes.Equal(head, make([]byte, len(head))) {
		return notBlank("it does not begin with zeros")
	}
	return nil
}
