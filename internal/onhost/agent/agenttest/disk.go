package agenttest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/node"
)

// byUUID is where udev links file systems to.
const byUUID = "/dev/disk/by-uuid/"

// AddDevice puts a disk into the machine, which begins with these bytes.
func (m *Machine) AddDevice(t testing.TB, path string, d *Device, head string) {
	t.Helper()
	m.Devices[path] = d
	m.Write(t, path, head)
}

func (m *Machine) disk(program string, args []string) (string, error) {
	path := args[len(args)-1]
	if i := slices.Index(args, "--uuid"); i >= 0 {
		return m.find(args[i+1])
	}
	if uuid, ok := strings.CutPrefix(path, byUUID); ok {
		path, _ = m.find(uuid)
	}
	d := m.Devices[path]
	if d == nil {
		return "", &exit{32, path + ": not a block device"}
	}
	switch program {
	case "lsblk":
		return strings.Join(append([]string{filepath.Base(path) + " " + d.Mount}, d.Parts...), "\n") + "\n", nil
	case "blkid":
		return d.probe(path)
	case "mkfs.ext4":
		d.UUID = args[slices.Index(args, "-U")+1]
		d.Made++
		return "", m.udev(path, d.UUID)
	default: // wipefs
		err := os.Remove(m.Path(byUUID + d.UUID))
		d.UUID, d.Signature = "", ""
		return "", err
	}
}

// udev makes the link for a new file system.
func (m *Machine) udev(path, uuid string) error {
	if err := os.MkdirAll(m.Path(byUUID), 0o755); err != nil {
		return err
	}
	return os.Symlink(m.Path(path), m.Path(byUUID+uuid))
}

func (m *Machine) find(uuid string) (string, error) {
	for path, d := range m.Devices {
		if d.UUID == uuid {
			return path, nil
		}
	}
	return "", &exit{2, ""}
}

func (d *Device) probe(path string) (string, error) {
	switch {
	case d.Ambiguous:
		return "", &exit{8, path + ": ambivalent result (probably more filesystems on the device, use wipefs(8) to see more details)"}
	case d.Signature != "":
		return path + ": " + d.Signature, nil
	case d.UUID != "":
		return fmt.Sprintf("%s: LABEL=%q UUID=%q TYPE=\"ext4\"", path, "pleiad-data", d.UUID), nil
	}
	return "", &exit{2, ""}
}

// mount does what the mount unit says, as far as a test sees it.
func (m *Machine) mount() error {
	b, err := os.ReadFile(m.Path(node.MountFile))
	if err != nil {
		return &exit{5, "Unit " + node.MountName + " not found."}
	}
	_, rest, _ := strings.Cut(string(b), "What="+byUUID)
	uuid, _, _ := strings.Cut(rest, "\n")
	path, err := m.find(uuid)
	if err != nil {
		return &exit{1, "A dependency job for " + node.MountName + " failed."}
	}
	m.Devices[path].Mount = node.MachinePaths().Data
	return nil
}

func (m *Machine) unmount() error {
	for _, d := range m.Devices {
		d.Mount = ""
	}
	return nil
}
