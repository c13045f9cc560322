package agent

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/node"
)

// volume makes the file system of the data device, if the device is blank, and
// mounts it where etcd's data goes. Its identifier is chosen first and is in the
// mount unit before anything is written to the device, so that an interrupted
// delivery can be continued; only the identifier tells that a file system is
// ours. The device name is used only until the file system is made: names of
// devices change.
func (i *installing) volume(ctx context.Context) error {
	if i.node.DataDevice == "" {
		return nil
	}
	uuid, err := i.volumeID(ctx)
	if err != nil {
		return err
	}
	if err := i.makeVolume(ctx, uuid); err != nil {
		return err
	}
	if err := i.mountPoint(); err != nil {
		return err
	}
	if err := i.systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	if err := i.systemctl(ctx, "enable", "--quiet", "--now", node.MountName); err != nil {
		return err
	}
	// From now on this is the root folder of the mounted file system.
	root, err := openFolder(i.node.Paths.Data)
	if err != nil {
		return err
	}
	defer root.Close()
	err = root.Chmod(".", 0o700)
	if i.user.UID >= 0 {
		err = errors.Join(err, root.Lchown(".", i.user.UID, i.user.GID))
	}
	return err
}

// volumeID is the identifier in the mount unit, which it writes if there is
// none.
func (i *installing) volumeID(ctx context.Context) (string, error) {
	unit, err := os.ReadFile(i.path(node.MountFile))
	if err == nil {
		uuid, ours := strings.CutPrefix(mounted(unit), byUUID)
		if !ours {
			return "", fmt.Errorf("%s mounts %q: pleiad did not write that; move it away", node.MountFile, mounted(unit))
		}
		// A unit that a person restored may hold nothing but the identifier.
		_, err := i.replace(node.MountFile, i.node.Mount(uuid), 0o644)
		return uuid, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	// Checked before anything is written: a unit with a new identifier would keep
	// the right device from being mounted when it is back.
	if why, err := i.used(); err != nil || why != "" {
		return "", cmp.Or(err, fmt.Errorf("%w: %s is missing, and %s; attach the device with its data, find its UUID with blkid, and have that file name it in the line What=%sUUID; then run the command again; no other device is formatted in its place",
			ErrVolumeMissing, node.MountFile, why, byUUID))
	}
	if err := i.blank(ctx); err != nil {
		return "", err
	}
	uuid, err := newUUID()
	if err != nil {
		return "", err
	}
	_, err = i.replace(node.MountFile, i.node.Mount(uuid), 0o644)
	i.note(err == nil, node.MountFile)
	return uuid, err
}

// byUUID is how a mount unit names a file system.
const byUUID = "/dev/disk/by-uuid/"

// newUUID is a random UUID (RFC 9562, section 5.4).
func newUUID() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

// makeVolume makes the file system unless some device has it.
func (i *installing) makeVolume(ctx context.Context, uuid string) error {
	found, err := i.Run(ctx, "blkid", "--cache-file", "/dev/null", "--uuid", uuid)
	if err == nil && strings.TrimSpace(found) != "" {
		return nil
	}
	if err != nil && exitCode(err) != nothingFound {
		return err
	}
	if err := i.neverUsed(uuid); err != nil {
		return err
	}
	if err := i.blank(ctx); err != nil {
		return err
	}
	_, err = i.Run(ctx, "mkfs.ext4", "-q", "-L", "pleiad-data", "-U", uuid, i.node.DataDevice)
	i.note(err == nil, i.node.DataDevice)
	return err
}

// neverUsed checks that no member has used the file system yet: its identifier
// was chosen, and the delivery was interrupted before it was made.
func (i *installing) neverUsed(uuid string) error {
	why, err := i.used()
	if err != nil || why == "" {
		return err
	}
	return fmt.Errorf("%w: no device holds the file system %s that %s mounts, and %s; attach that device again, see: blkid; no other one is formatted in its place",
		ErrVolumeMissing, uuid, node.MountFile, why)
}

// used says why a member may have used its file system; empty if none has. Once
// etcd has been started, or the cluster is sealed, the file system with the data
// is on a device that is missing, and a new one would hide that. Only a member
// that is joining a sealed cluster may still be without one.
func (i *installing) used() (why string, err error) {
	for _, path := range []string{i.node.Paths.Born(), i.node.Paths.Mark()} {
		there, err := exists(path)
		if err != nil {
			return "", err
		}
		if there {
			return "its member has had data", nil
		}
	}
	if i.node.Sealed && !i.node.Join {
		return "the cluster is sealed", nil
	}
	return "", nil
}

// nothingFound is how blkid ends where it finds nothing (blkid(8), "Exit
// status").
const nothingFound = 2

// exitCode is how a program ended; 0 if it did not run, or not to its end.
func exitCode(err error) int {
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
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

// blank checks that nothing is on the data device: no signature that blkid knows,
// no partition, no mount, and only zeros at its beginning. A label proves
// nothing: data that was kept has our label.
func (i *installing) blank(ctx context.Context) error {
	device := i.node.DataDevice
	notBlank := func(format string, args ...any) error {
		return fmt.Errorf("%s: the data device is not blank: %s; give the cluster another device, or clear it yourself if nobody needs what is on it: wipefs --all %s",
			device, fmt.Sprintf(format, args...), device)
	}
	out, err := i.Run(ctx, "lsblk", "--noheadings", "--output", "NAME,MOUNTPOINT", "--raw", device)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) > 1 {
		return notBlank("it has partitions or is part of something: %s", strings.Join(lines[1:], ", "))
	}
	if f := strings.Fields(lines[0]); len(f) > 1 {
		return notBlank("it is mounted: %s", f[1])
	}
	signature, err := i.Run(ctx, "blkid", "--probe", device)
	switch code := exitCode(err); {
	case strings.TrimSpace(signature) != "":
		return notBlank("%s", strings.TrimSpace(signature))
	case err != nil && code == 0:
		return err
	case code != nothingFound: // two signatures that exclude each other, for example
		return notBlank("blkid cannot tell what is on it: %v", err)
	}
	return i.zeros(notBlank)
}

// zeros looks at the bytes of the device itself.
func (i *installing) zeros(notBlank func(string, ...any) error) error {
	f, err := os.Open(i.path(i.node.DataDevice))
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
