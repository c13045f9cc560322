package bed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Host is one machine of a bed. It keeps its name, address, keys and disk as
// long as the bed is up, whether its power is on or not.
type Host struct {
	Name string
	Addr netip.Addr

	bed   *Bed
	index int
}

// Made is when the host was made. What changed on its disk since then is not
// the image's.
func (h *Host) Made() (time.Time, error) {
	info, err := os.Stat(filepath.Join(h.bed.dir, "hosts", h.Name, "index"))
	if err != nil {
		return time.Time{}, fmt.Errorf("when was %s made: %w", h.Name, err)
	}
	return info.ModTime(), nil
}

// Exec runs a shell command on the host over ssh, as root, and returns its
// standard output; its error holds all that was said.
func (h *Host) Exec(ctx context.Context, command string) (string, error) {
	return h.bed.verb(ctx, "exec", h.Name, command)
}

// Enter is [Host.Exec] without ssh or network, for hosts that are cut off.
func (h *Host) Enter(ctx context.Context, command string) (string, error) {
	return h.bed.verb(ctx, "enter", h.Name, "sh", "-c", command)
}

// Partition cuts the host off from all other hosts; the controller still
// reaches it. With peers, only from these.
func (h *Host) Partition(ctx context.Context, peers ...*Host) error {
	if len(peers) == 0 {
		return h.verb(ctx, "partition")
	}
	for _, p := range peers {
		if err := h.verb(ctx, "partition", p.Name); err != nil {
			return err
		}
	}
	return nil
}

// PullCable cuts the host off from everybody; only [Host.Enter] reaches it.
func (h *Host) PullCable(ctx context.Context) error { return h.verb(ctx, "partition", "all") }

// Heal undoes Partition (but not from single peers, for which [Bed.Heal] is),
// PullCable and Limit.
func (h *Host) Heal(ctx context.Context) error {
	_, err := h.bed.verb(ctx, "heal", h.Name)
	return err
}

// Limit bounds what the host receives, such as "1mbit".
func (h *Host) Limit(ctx context.Context, rate string) error { return h.verb(ctx, "rate", rate) }

// Pause freezes every process of the host. Its kernel still takes connections.
func (h *Host) Pause(ctx context.Context) error { return h.verb(ctx, "pause") }

// Resume ends [Host.Pause].
func (h *Host) Resume(ctx context.Context) error { return h.verb(ctx, "resume") }

// Kill cuts the host's power: its peers see silence.
func (h *Host) Kill(ctx context.Context) error { return h.verb(ctx, "kill") }

// Fill leaves no space on the host's disk, whose size must be given by [Disk].
func (h *Host) Fill(ctx context.Context) error { return h.verb(ctx, "fill") }

// Free ends [Host.Fill].
func (h *Host) Free(ctx context.Context) error { return h.verb(ctx, "free") }

// Stop shuts the host down in order.
func (h *Host) Stop(ctx context.Context) error { return h.verb(ctx, "stop") }

// Remove cuts the host's power, and deletes its disk.
func (h *Host) Remove(ctx context.Context) error { return h.verb(ctx, "remove") }

// Start boots the host from the disk it has, and waits for ssh.
func (h *Host) Start(ctx context.Context) error { return h.verb(ctx, "start") }

// Reboot has the host reboot in order, and waits for ssh.
func (h *Host) Reboot(ctx context.Context) error {
	const bootID = "cat /proc/sys/kernel/random/boot_id"
	before, err := h.Enter(ctx, bootID)
	if err != nil {
		return err
	}
	// What runs on a host that goes down may or may not get to its end, so the
	// error says nothing; the new boot does.
	_, _ = h.Enter(ctx, "systemctl reboot")
	return h.until(ctx, "reboot", func(ctx context.Context) error {
		after, err := h.Exec(ctx, bootID)
		if err == nil && after == before {
			err = errors.New("still the boot from before")
		}
		return err
	})
}

// until tries over and over for a minute, and returns the last error.
func (h *Host) until(ctx context.Context, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		once, done := context.WithTimeout(ctx, 3*time.Second)
		err := try(once)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s %s: %w", what, h.Name, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// SetResolver makes the host ask these name servers and no others.
func (h *Host) SetResolver(ctx context.Context, servers ...netip.Addr) error {
	var conf strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&conf, "nameserver %s\n", s)
	}
	conf.WriteString("search bed.test\noptions timeout:2\n")
	_, err := h.Enter(ctx, fmt.Sprintf("printf '%%s' '%s' >/etc/resolv.conf", conf.String()))
	return err
}

// Traffic counts the bytes on the host's wire since its power came on, with
// all headers. Pushed are those of Received that came from the controller.
type Traffic struct{ Received, Sent, Pushed uint64 }

// Traffic reads the counters of the host's cable.
func (h *Host) Traffic(ctx context.Context) (t Traffic, err error) {
	link := fmt.Sprintf("v%d", h.index)
	// This is the controller's end: what it sends is what the host receives.
	var links []struct {
		Stats64 struct{ RX, TX struct{ Bytes uint64 } }
	}
	if err := h.counters(ctx, &links, "ip", "-json", "-statistics", "link", "show", link); err != nil || len(links) != 1 {
		return t, fmt.Errorf("read traffic of %s: %d links: %w", h.Name, len(links), err)
	}
	var found struct {
		NFTables []struct {
			Set struct {
				Elem []struct {
					Elem struct {
						Val     string
						Counter struct{ Bytes uint64 }
					}
				}
			}
		}
	}
	if err := h.counters(ctx, &found, "nft", "--json", "list", "set", "bridge", "testbed", "pushed"); err != nil {
		return t, fmt.Errorf("read traffic of %s: %w", h.Name, err)
	}
	for _, item := range found.NFTables {
		for _, e := range item.Set.Elem {
			if e.Elem.Val == link {
				t.Pushed = e.Elem.Counter.Bytes
			}
		}
	}
	t.Received, t.Sent = links[0].Stats64.TX.Bytes, links[0].Stats64.RX.Bytes
	return t, nil
}

// counters runs a program on the controller that prints JSON.
func (h *Host) counters(ctx context.Context, into any, program ...string) error {
	out, err := h.bed.verb(ctx, append([]string{"run"}, program...)...)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), into)
}

// verb runs a verb whose first argument is this host.
func (h *Host) verb(ctx context.Context, verb string, args ...string) error {
	_, err := h.bed.verb(ctx, append([]string{verb, h.Name}, args...)...)
	return err
}
