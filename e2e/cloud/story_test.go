package cloud

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/e2e/writer"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts/ec2/ec2fake"
)

// One cluster's whole life while somebody writes to it: it grows, a living member moves to
// a new instance, an instance is terminated by hand, it shrinks. Stock etcdctl
// finds it through the zone all the time, and no write is lost.
func TestLifeInTheCloud(t *testing.T) {
	o := newOperator(t)
	records := o.lookalikes()
	o.run(0, "doctor")
	o.run(0, "up")
	o.found(3)
	diary := o.startDiary()

	o.want(5)
	o.run(0, "up")
	o.found(5)
	serves(t, diary)

	// A newer image is wanted: nothing happens until somebody says whose turn it is.
	o.edit("image: "+image+"\n", "image: "+newImage+"\n")
	o.outdated(5)
	moved := o.living()[0]
	o.machinesWrote()
	o.run(0, "replace", nameOf(moved), "--yes")
	o.gone(moved)
	o.outdated(4)
	o.found(5)
	serves(t, diary)

	lost := o.living()[0]
	o.machinesWrote()
	o.ec2.TerminateByHand(lost.ID)
	o.run(0, "up", "--yes")
	o.gone(lost)
	o.found(5)
	serves(t, diary)

	o.want(3)
	o.run(0, "up")
	o.found(3)
	serves(t, diary)
	// A marker, three addresses, two services of three members each.
	if n := len(o.zone.Records(zone)) - len(records); n != 10 {
		t.Errorf("%d records are the cluster's, want 10", n)
	}
	if calls := o.ec2.Calls()["RunInstances"]; calls != 7 {
		t.Errorf("%d instances were launched, want 7", calls)
	}
	tally := diary.Stop()
	t.Log("the writer: ", tally)
	if err := tally.Check(t.Context(), o.diary()); err != nil {
		t.Error(err)
	}

	o.nowhere()
	o.run(0, "destroy", "--yes")
	if left := o.living(); len(left) != 0 {
		t.Errorf("instances that are left: %+v", left)
	}
	// The data of the member that moved, and of the two that left (R14).
	left := o.ec2.Volumes()
	if len(left) != 3 || slices.ContainsFunc(left, func(v ec2fake.Volume) bool { return v.Tags["pleiad:kept"] == "" }) {
		t.Errorf("volumes that are left: %+v, want three that are kept", left)
	}
	if left := o.zone.Records(zone); !slices.Equal(left, records) {
		t.Errorf("left of the zone: %+v, want %+v", left, records)
	}
}

// outdated checks that so many members are shown to be on instances of another image
// than the spec wants, that doctor says so too, and that up does nothing about it.
func (o *operator) outdated(members int) {
	o.Helper()
	old := "image " + image + ", the spec wants " + newImage
	for command, hint := range map[string]string{"status": "to move its member to a new host: ", "doctor": "move its member to a new host, with: "} {
		out := o.run(0, command)
		if n, hints := strings.Count(out, old), strings.Count(out, hint); n != members || hints != members {
			o.Errorf("%s shows %d members on another image with %d hints, want %d\n%s", command, n, hints, members, out)
		}
	}
	o.run(0, "plan") // there is nothing to do
}

func nameOf(i ec2fake.Instance) string { return i.Tags["pleiad:member"] }

// gone checks that a member lives on no instance.
func (o *operator) gone(was ec2fake.Instance) {
	o.Helper()
	if slices.ContainsFunc(o.living(), func(i ec2fake.Instance) bool { return i.ID == was.ID || nameOf(i) == nameOf(was) }) {
		o.Errorf("%s is still there: %+v", nameOf(was), o.living())
	}
	if strings.Contains(o.stock("member", "list"), nameOf(was)) {
		o.Errorf("etcd still lists %s", nameOf(was))
	}
}

// diary is how the writer reaches the cluster: at the addresses that its instances
// have at any time, which are the first of each subnet.
func (o *operator) diary() writer.Config {
	c := writer.Config{TLS: o.tls(), Dial: o.bed.Dial, Prefix: "/diary/", Every: 10 * time.Millisecond}
	for _, s := range subnets(o.bed) {
		a := s.Prefix.Addr().Next().Next().Next()
		for range 3 {
			a = a.Next()
			c.Endpoints = append(c.Endpoints, "https://"+net.JoinHostPort(a.String(), "2379"))
		}
	}
	return c
}

func (o *operator) startDiary() *writer.Writer {
	o.Helper()
	w, err := writer.Start(o.diary())
	o.ok(err)
	o.Cleanup(func() { w.Stop() })
	serves(o.T, w)
	return w
}

func serves(t *testing.T, w *writer.Writer) {
	t.Helper()
	if err := w.Await(t.Context(), 50); err != nil {
		t.Fatal(err)
	}
}
