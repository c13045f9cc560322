package snapshot_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/snapshot"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
)

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

func take(t *testing.T, h *bed.Host) snapshot.Snapshot {
	t.Helper()
	begun := time.Now()
	s, err := snapshot.Take(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if len(s) < 4000 {
		t.Fatalf("only %d things on a whole Debian", len(s))
	}
	t.Logf("%d things in %s", len(s), time.Since(begun).Round(10*time.Millisecond))
	return s
}

func run(t *testing.T, h *bed.Host, command string) {
	t.Helper()
	if _, err := h.Exec(t.Context(), command); err != nil {
		t.Fatal(err)
	}
}

// A host that is used and rebooted is as it was.
func TestSameAfterReboot(t *testing.T) {
	h := bed.Up(t, 1).Hosts[0]
	run(t, h, "systemctl is-system-running --wait")
	before := take(t, h)
	run(t, h, "touch /root/x; rm /root/x; journalctl --sync; sudo -u admin true; useradd --system x; userdel x")
	if err := h.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(t, h, "systemctl is-system-running --wait")
	if d := snapshot.Diff(before, take(t, h)); d != "" {
		t.Errorf("after a reboot:\n%s", d)
	}
}

// Whatever a program may leave behind is seen, and nothing else.
func TestSeesWhatIsLeft(t *testing.T) {
	h := bed.Up(t, 1).Hosts[0]
	run(t, h, "systemctl is-system-running --wait")
	before := take(t, h)
	run(t, h, `set -e
echo 10.0.0.1 peer >>/etc/hosts
mkdir -m 700 "/var/lib/left behind"
echo x >/usr/local/bin/tool
chmod 4755 /usr/bin/env
chown admin /etc/hostname
rm /etc/issue
ln -s /etc/passwd /etc/link
useradd --system --no-create-home left
printf '[Service]\nExecStart=/bin/sleep inf\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/left.service
systemctl enable --now left.service 2>/dev/null
printf '[Service]\nExecStart=/bin/false\n' >/etc/systemd/system/broken.service
systemctl start broken.service || true
`)
	d := snapshot.Diff(before, take(t, h))
	for _, want := range []string{
		"+ line of /etc/hosts 3: 10.0.0.1 peer", "~ file /etc/hosts: ",
		"+ file /var/lib/left behind: d 700 0:0", "+ file /usr/local/bin/tool: f 644 0:0",
		"~ file /usr/bin/env: f 4755", "~ file /etc/hostname: ", "- file /etc/issue: ", "+ file /etc/link: l 777 0:0 /etc/passwd",
		"+ user left: ", "+ group left: ", "~ file /etc/passwd: ", "~ file /etc/shadow: ", "~ file /etc/group: ", "~ file /etc/gshadow: ",
		"+ file /etc/systemd/system/left.service: ", "+ file /etc/systemd/system/multi-user.target.wants/left.service: l ",
		"+ enabled left.service: yes", "+ active left.service: yes",
		"+ file /etc/systemd/system/broken.service: ", "+ failed broken.service: yes",
	} {
		if !strings.Contains("\n"+d, "\n"+want) {
			t.Errorf("not seen: %s", want)
		}
	}
	if n := strings.Count(d, "\n"); n != 20 {
		t.Errorf("%d differences, want 20:\n%s", n, d)
	}
}
