package agent_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent"
	"github.com/pleiad-etcd/pleiad/internal/onhost/agent/agenttest"
)

const disk = "/dev/vdb"

func onDisk(s *cluster.Spec) {
	s.Hosts = cluster.HostsSpec{SSH: &cluster.SSHHosts{DataDevice: disk}}
}

// founding is a node of a cluster that is being founded, with its data on disk.
func (s *stage) founding(variant int) node.Node {
	n := s.rendered(variant, onDisk)
	n.Sealed = false
	return n
}

var blank = strings.Repeat("\x00", 4096)

// wantUntouched fails if a file system was made or a mount unit written.
func (s *stage) wantUntouched() {
	s.Helper()
	if d := s.Devices[disk]; d != nil && d.Made > 0 {
		s.Errorf("a file system was made %d times, want never", d.Made)
	}
	for _, call := range s.Calls() {
		if strings.HasPrefix(call, "mkfs") || strings.HasPrefix(call, "wipefs") {
			s.Errorf("%q was run", call)
		}
	}
	for _, path := range []string{node.MountFile, node.UnitFile, node.StateFolder + "/config/" + node.FileName} {
		if _, err := os.Stat(s.Path(path)); !errors.Is(err, os.ErrNotExist) {
			s.Errorf("%s: %v, want it absent", path, err)
		}
	}
}

// notBlank says whether an error refuses a device because something is on it.
func notBlank(err error) bool {
	return err != nil && strings.Contains(err.Error(), "the data device is not blank")
}

func TestVolumeRefusesADeviceThatIsNotBlank(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		device agenttest.Device
		head   string
		want   string
	}{
		{"mounted", agenttest.Device{Mount: "/srv"}, blank, "it is mounted: /srv"},
		{"partitions", agenttest.Device{Parts: []string{"vdb1 /boot", "vdb2"}}, blank, "it has partitions or is part of something: vdb1 /boot, vdb2"},
		{"file system", agenttest.Device{Signature: `TYPE="xfs"`}, blank, `TYPE="xfs"`},
		{"kept data with our label", agenttest.Device{UUID: "11111111-1111-4111-8111-111111111111"}, blank, "pleiad-data"},
		{"two signatures", agenttest.Device{Ambiguous: true}, blank, "ambivalent result"},
		{"bytes", agenttest.Device{}, blank + "x", "it does not begin with zeros"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.AddDevice(t, disk, &tt.device, tt.head)
			_, err := s.agent.Install(t.Context(), s.host, s.founding(0), credentials(0), binary, true)
			if !notBlank(err) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "wipefs --all "+disk) {
				t.Errorf("Install: %v, want a refusal of a device that is not blank with %q and the remedy", err, tt.want)
			}
			s.wantUntouched()
		})
	}
	t.Run("absent", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		if _, err := s.agent.Install(t.Context(), s.host, s.founding(0), credentials(0), binary, true); err == nil || !strings.Contains(err.Error(), disk) {
			t.Errorf("Install: %v, want an error that names %s", err, disk)
		}
		s.wantUntouched()
	})
}

func TestVolumeIsMadeOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Write(t, node.SystemHosts, hostsBefore)
	d := &agenttest.Device{}
	s.AddDevice(t, disk, d, blank)
	n := s.founding(0)
	if changed := s.install(n, credentials(0)); !slices.Contains(changed, disk) || !slices.Contains(changed, node.MountFile) {
		t.Errorf("Install says it changed %q, want %s and %s among it", changed, disk, node.MountFile)
	}
	s.wantInstalled(n, credentials(0))
	if d.Made != 1 || d.Mount != node.MachinePaths().Data {
		t.Errorf("device is %+v, want it made once and mounted", d)
	}
	unit, err := os.ReadFile(s.Path(node.MountFile))
	if err != nil || string(unit) != string(n.Mount(d.UUID)) {
		t.Errorf("mount unit is %s, %v, want it to name %s", unit, err, d.UUID)
	}
	// Names of devices change; another disk may have the name now.
	delete(s.Devices, disk)
	s.Devices["/dev/vdc"] = d
	s.AddDevice(t, disk, &agenttest.Device{}, blank)
	s.install(s.founding(1), credentials(1))
	if made := s.Devices[disk].Made; made > 0 || d.Made != 1 {
		t.Errorf("under a new name: made %d and %d times, want only the first", d.Made, made)
	}

	if err := os.Remove(s.Path(node.MountFile)); err != nil {
		t.Fatal(err)
	}
	if drift := s.drift(); !slices.Equal(drift, []string{node.MountFile + " is missing"}) {
		t.Errorf("drift is %q, want the mount unit", drift)
	}
	// Without it nothing says that the file system is ours.
	s.Devices = map[string]*agenttest.Device{disk: d}
	d.Mount = ""
	if _, err := s.agent.Install(t.Context(), s.host, n, nil, binary, true); !notBlank(err) || d.Made != 1 {
		t.Errorf("Install without the mount unit: %v, made %d times, want a refusal of a device that is not blank", err, d.Made)
	}
	s.Write(t, node.MountFile, string(unit))
	s.clear(false)
	if d.UUID != "" {
		t.Errorf("device is %+v after Clear, want it blank", d)
	}
	for name := range s.Files(t) {
		if strings.Contains(name, "pleiad") && !strings.HasPrefix(name, node.BinaryFolder) && name != node.ClaimFolder+"/" {
			t.Errorf("Clear leaves %s", name)
		}
	}
}

// Wherever making the volume is cut short, the next Install goes on and makes
// no second file system.
func TestVolumeCutShort(t *testing.T) {
	t.Parallel()
	cut := errors.New("cut short")
	calls := 0
	count := newStage(t)
	count.AddDevice(t, disk, &agenttest.Device{}, blank)
	count.Before = func(string, []string) error { calls++; return nil }
	count.install(count.founding(0), credentials(0))
	if calls < 7 {
		t.Fatalf("a first Install runs %d programs, want those of a volume", calls)
	}
	for call := range calls {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("program %d, before it %t", call, before), func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				d := &agenttest.Device{}
				s.AddDevice(t, disk, d, blank)
				n := s.founding(0)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				s.failAt(call, func() error {
					if before {
						return cut
					}
					cancel(cut)
					return nil
				})
				if _, err := s.agent.Install(ctx, s.host, n, credentials(0), binary, true); !errors.Is(err, cut) {
					t.Fatalf("Install: %v, want %v", err, cut)
				}
				s.Before = nil
				s.install(n, credentials(0))
				s.wantInstalled(n, credentials(0))
				if d.Made != 1 || d.Mount == "" {
					t.Errorf("device is %+v, want it made once and mounted", d)
				}
			})
		}
	}
}

// A device whose file system is not found is never taken for a new one once there
// was, or may have been, data in it: a blank disk in its place is not formatted.
func TestVolumeThatIsGoneIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		sealed bool
		join   bool
		file   string
	}{
		{"sealed", true, false, ""},
		{"born", false, false, cluster.BornFile},
		{"born, joins", true, true, cluster.BornFile},
		{"marked", false, false, cluster.MarkFile},
		{"nothing yet", false, false, ""},
		{"nothing yet, joins", true, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.Write(t, node.HostsFile, hostsBefore)
			d := &agenttest.Device{}
			s.AddDevice(t, disk, d, blank)
			n := s.founding(0)
			s.install(n, credentials(0))
			first := d.UUID
			if tt.file != "" {
				s.Write(t, node.StateFolder+"/"+tt.file, `{"version": 1, "token": "t", "place": {"segment": "0.wal"}}`)
			}
			other := &agenttest.Device{}
			delete(s.Devices, disk)
			if err := os.Remove(s.Path("/dev/disk/by-uuid/" + first)); err != nil {
				t.Fatal(err)
			}
			s.AddDevice(t, disk, other, blank)
			n.Sealed, n.Join = tt.sealed, tt.join
			_, err := s.agent.Install(t.Context(), s.host, n, nil, binary, true)
			if strings.HasPrefix(tt.name, "nothing yet") {
				if err != nil || other.Made != 1 || other.UUID != first {
					t.Errorf("Install: %v, device %+v, want the delivery to go on", err, other)
				}
				return
			}
			if !errors.Is(err, agent.ErrVolumeMissing) || !strings.Contains(err.Error(), first) || other.Made > 0 {
				t.Errorf("Install: %v, made %d times, want ErrVolumeMissing with %s and no new file system", err, other.Made, first)
			}
		})
	}
}

// With the mount unit lost as well, nothing is written: a fresh identifier in a
// new unit would keep the right device out when it is back. What is printed then
// works.
func TestVolumeWhoseUnitIsGoneIsNotChosenAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Write(t, node.HostsFile, hostsBefore)
	d := &agenttest.Device{}
	s.AddDevice(t, disk, d, blank)
	n := s.founding(0)
	s.install(n, credentials(0))
	first, other := d.UUID, &agenttest.Device{}
	delete(s.Devices, disk)
	byUUID := s.Path("/dev/disk/by-uuid/" + first)
	for _, path := range []string{byUUID, s.Path(node.MountFile)} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	s.AddDevice(t, disk, other, blank)
	d.Mount = ""
	n.Sealed = true
	_, err := s.agent.Install(t.Context(), s.host, n, nil, binary, true)
	if !errors.Is(err, agent.ErrVolumeMissing) || !strings.Contains(err.Error(), "in the line What=/dev/disk/by-uuid/UUID") || other.Made > 0 {
		t.Errorf("Install: %v, made %d times, want ErrVolumeMissing with the remedy", err, other.Made)
	}
	if _, err := os.Stat(s.Path(node.MountFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("mount unit: %v, want it absent", err)
	}

	s.AddDevice(t, disk, d, blank)
	if err := os.WriteFile(byUUID, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Write(t, node.MountFile, "What=/dev/disk/by-uuid/"+first+"\n")
	if _, err := s.agent.Install(t.Context(), s.host, n, nil, binary, true); err != nil {
		t.Fatal(err)
	}
	unit, err := os.ReadFile(s.Path(node.MountFile))
	if err != nil || string(unit) != string(n.Mount(first)) || d.Mount == "" || d.Made != 1 {
		t.Errorf("mount unit is %s, %v, device %+v, want the same file system mounted", unit, err, d)
	}
}

// Kept data stays on its device, and no later Install makes it anew.
func TestVolumeIsKept(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d := &agenttest.Device{}
	s.AddDevice(t, disk, d, blank)
	s.install(s.founding(0), credentials(0))
	kept := d.UUID
	s.clear(true)
	if d.UUID != kept || d.Mount != "" {
		t.Errorf("device is %+v after Clear, want file system %s, not mounted", d, kept)
	}
	if _, err := s.agent.Install(t.Context(), s.host, s.founding(1), credentials(1), binary, true); !notBlank(err) {
		t.Errorf("Install over kept data: %v, want a refusal of a device that is not blank", err)
	}
	if d.Made != 1 || d.UUID != kept {
		t.Errorf("device is %+v, want file system %s untouched", d, kept)
	}
}

func TestVolumeClearCutShort(t *testing.T) {
	t.Parallel()
	cut := errors.New("cut short")
	for call := range 7 {
		t.Run(fmt.Sprint(call), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			d := &agenttest.Device{}
			s.AddDevice(t, disk, d, blank)
			s.install(s.founding(0), credentials(0))
			s.failAt(call, func() error { return cut })
			_ = s.agent.Clear(t.Context(), s.host, false) // some programs may fail
			s.Before = nil
			s.clear(false)
			if d.UUID != "" || d.Mount != "" {
				t.Errorf("device is %+v, want it blank", d)
			}
			for _, path := range []string{node.MountFile, node.StateFolder} {
				if _, err := os.Stat(s.Path(path)); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s: %v, want it gone", path, err)
				}
			}
		})
	}
}
