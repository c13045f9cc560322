package hosts

import (
	"context"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/site"
	"github.com/pleiad-etcd/pleiad/e2e/testbed/bed"
	"github.com/pleiad-etcd/pleiad/e2e/writer"
	"github.com/pleiad-etcd/pleiad/internal/node"
)

// act is something that is done to a host.
type act func(*bed.Host, context.Context) error

// Hosts reboot and lose their power, one, two or all of them, and nobody does
// anything: the cluster comes back, and holds all that it acknowledged.
func TestComesBackByItself(t *testing.T) {
	w, o := newWorld(t, 3)
	o.must("up")
	diary := o.startWriter("/power/")
	hosts := w.Hosts
	reboot := []act{(*bed.Host).Reboot}
	// All are dark before the first gets its power back.
	cut := []act{(*bed.Host).Kill, (*bed.Host).Start}
	for _, event := range []struct {
		what string
		to   []*bed.Host
		acts []act
	}{
		{"reboot of one", hosts[:1], reboot},
		{"reboot of two", hosts[1:], reboot},
		{"reboot of all", hosts, reboot},
		{"power cut of one", hosts[2:], cut},
		{"power cut of all", hosts, cut},
	} {
		before, begun := diary.Acknowledged(), time.Now()
		for _, a := range event.acts {
			w.each(event.to, a)
		}
		booted, meanwhile := time.Since(begun), diary.Acknowledged()-before
		if len(event.to) == 1 && meanwhile == 0 {
			t.Errorf("%s: the other two acknowledged nothing", event.what)
		}
		o.awaitHealthy(hosts...)
		w.ok(diary.Await(t.Context(), 20))
		t.Logf("%s: ssh after %s, by when there were %d more writes; all serve after %s", event.what, tenths(booted), meanwhile, tenths(time.Since(begun)))
	}
	diary.check()
	o.must("health")
	o.must("plan") // exits with another code if there is anything to do

	w.on(hosts[0], "systemctl kill --signal=KILL "+node.UnitName)
	o.awaitHealthy(hosts...)
	o.must("status").wantSaid("has ended and been started again by its host 1 time\n")
}

// With no name server left and /etc/hosts in others' hands, every member
// restarts, and the cluster serves again after a power cut of all hosts.
func TestServesWithoutNames(t *testing.T) {
	w, o := newWorld(t, 3)
	w.servesWithoutNames(o)
}

// The same with an etcd that is another program, and so has no resolver of ours
// in it.
func TestReleaseServesWithoutNames(t *testing.T) {
	w, o := newWorld(t, 3)
	o.SpecFile = w.withRelease()
	w.servesWithoutNames(o)
	w.wantRelease()
}

func (w *world) servesWithoutNames(o operator) {
	w.Helper()
	before := w.on(w.Hosts[0], "cat /etc/hosts")
	o.must("up")
	if now := w.on(w.Hosts[0], "cat /etc/hosts"); now != before {
		w.Errorf("/etc/hosts was changed:\n%s, was\n%s", now, before)
	}
	diary := o.startWriter("/nameless/")
	w.wantNames(true)
	w.Server.Kill()
	w.ok(w.Silence(w.Context()))
	w.wantNames(false)

	hosts := w.Hosts
	w.rewriteHosts()
	for _, h := range hosts {
		begun := time.Now()
		w.restart(h)
		o.awaitHealthy(h)
		w.ok(diary.Await(w.Context(), 20))
		w.Logf("restart of the member of %s: it serves after %s", h.Name, tenths(time.Since(begun)))
	}
	w.on(hosts[2], "rm /etc/hosts")
	begun := time.Now()
	w.each(hosts, (*bed.Host).Kill)
	w.each(hosts, (*bed.Host).Start)
	o.awaitHealthy(hosts...)
	w.ok(diary.Await(w.Context(), 20))
	w.Logf("power cut of all: all serve after %s", tenths(time.Since(begun)))
	w.wantNames(false)
	diary.check()

	w.ok(w.Server.Start(w.Context()))
	w.ok(w.Resolve(w.Context()))
	w.wantNames(true)
	o.must("health")
}

// rewriteHosts replaces /etc/hosts on all hosts, as cloud-init does at boot, by
// one that gives every member a wrong address.
func (w *world) rewriteHosts() {
	w.Helper()
	for _, h := range w.Hosts {
		w.on(h, `{ echo 127.0.0.1 localhost; sed -n 's/^[0-9.]* \(etcd-.*\)/192.0.2.1 \1/p' `+node.HostsFile+`; } >/etc/hosts.new && mv /etc/hosts.new /etc/hosts`)
		if wrong := w.on(h, "grep -c ^192.0.2.1 /etc/hosts"); wrong != "3\n" {
			w.Errorf("%s has %s wrong addresses in /etc/hosts, want 3", h.Name, wrong)
		}
	}
}

// restart restarts a member as somebody would who is logged in on its host,
// and waits until the new one runs.
func (w *world) restart(h *bed.Host) {
	w.Helper()
	const invocation = "systemctl show --property=InvocationID --value " + node.UnitName
	before := w.on(h, invocation)
	w.on(h, "systemctl restart --no-block "+node.UnitName)
	w.eventually("the member of "+h.Name+" is another one", time.Minute, func() bool {
		now := w.on(h, invocation)
		return now != before && now != "\n"
	})
}

// wantNames asks for a name of the zone on every host.
func (w *world) wantNames(yes bool) {
	w.Helper()
	for _, h := range w.Hosts {
		if got := w.on(h, "getent hosts www."+site.Zone+" >/dev/null && echo yes || echo no") == "yes\n"; got != yes {
			w.Errorf("%s sees names of %s: %t, want %t", h.Name, site.Zone, got, yes)
		}
	}
}

// diary is a writer that knows where it writes.
type diary struct {
	*writer.Writer
	by     operator
	config writer.Config
}

// startWriter writes from now on to whichever members are there, and waits for
// the first writes.
func (o operator) startWriter(prefix string) diary {
	o.Helper()
	config := writer.Config{TLS: o.tls(), Dial: o.Dial, Prefix: prefix}
	for _, h := range o.Hosts {
		config.Endpoints = append(config.Endpoints, endpoint(h))
	}
	running, err := writer.Start(config)
	o.ok(err)
	o.Cleanup(func() { running.Stop() })
	o.ok(running.Await(o.Context(), 20))
	return diary{running, o, config}
}

// check ends the writing and looks for what was acknowledged, on each member.
func (d diary) check() {
	d.by.Helper()
	tally := d.Stop()
	d.by.Logf("writes: %s", tally)
	for _, endpoint := range d.config.Endpoints {
		alone := d.config
		alone.Endpoints = []string{endpoint}
		if err := tally.Check(d.by.Context(), alone); err != nil {
			d.by.Errorf("%s: %v", endpoint, err)
		}
	}
}
