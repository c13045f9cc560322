//go:build linux

package systemd_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/chef"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/chef/cheftest"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/delivertest"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver/systemd"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
)

// withChef has Chef lay nodes down, on machines that have a stand-in for its client.
func (w *world) withChef() *world {
	installer := chef.New(cluster.Chef{Way: "local"}, chef.Knife{})
	w.lay = func(ctx context.Context, m systemd.Machine, h cluster.Host) error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		here := m.(*machine)
		client := here.Path("/usr/bin/cinc-client")
		if err := os.MkdirAll(filepath.Dir(client), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(client+".new", []byte(fmt.Sprintf("#!/bin/sh\nexec %s chef %s \"$@\"\n", self, here.Root)), 0o755); err != nil {
			return err
		}
		if err := os.Rename(client+".new", client); err != nil {
			return err
		}
		return installer.Converge(ctx, m, h)
	}
	return w
}

func TestConformanceOfChef(t *testing.T) {
	delivertest.Run(t, func(t *testing.T) delivertest.World { return newWorld(t).withChef().contract(t) })
}

// Chef lays down the very bytes that the agent would.
func TestChefLaysDownTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t).withChef()
	h := w.host("etcd-k3v9qd2")
	m := w.machine(h.Address)
	pair := node.Pair{Cert: []byte("certificate\n"), Key: []byte("key\n")}
	creds := &node.Credentials{PeerCA: []byte("peers\n"), ClientCA: []byte("clients\n"), Peer: pair, Server: pair, Gateway: pair}
	n := rendered(h)
	n.Sealed, n.Pins = true, map[string]string{"etcd-k3v9qd2.dev.test": h.Address.String()}
	if err := w.deliverer().Install(t.Context(), h, n, creds, false); err != nil {
		t.Fatal(err)
	}
	byChef := m.Files(t)
	w.lay = nil
	if err := w.deliverer().Clear(t.Context(), h, hosts.DeleteData); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(m.Path(node.StageFolder)); !os.IsNotExist(err) {
		t.Errorf("after Clear, the stage: %v, want none: Chef would bring the member back", err)
	}
	if err := w.deliverer().Install(t.Context(), h, n, creds, false); err != nil {
		t.Fatal(err)
	}
	byAgent := m.Files(t)
	for name := range byChef {
		if strings.HasPrefix(name, node.StageFolder) || strings.HasPrefix(name, "/usr/bin/") {
			if strings.HasSuffix(name, "/") && !strings.HasPrefix(byChef[name], "drwx------") && strings.HasPrefix(name, node.StageFolder) {
				t.Errorf("%s is open to others: %s", name, byChef[name])
			}
			delete(byChef, name)
		}
	}
	for name := range byAgent {
		if strings.HasPrefix(name, "/usr/bin/") {
			delete(byAgent, name)
		}
	}
	if diff := cmp.Diff(byAgent, byChef); diff != "" {
		t.Errorf("-agent +Chef:\n%s", diff)
	}
}

// A delivery that does not go through Chef takes from Chef what it would bring back.
func TestChefBringsBackNothingOlder(t *testing.T) {
	t.Parallel()
	w := newWorld(t).withChef()
	h := w.host("etcd-k3v9qd2")
	m := w.machine(h.Address)
	if err := w.deliverer().Install(t.Context(), h, rendered(h), nil, false); err != nil {
		t.Fatal(err)
	}
	newer := rendered(h)
	newer.Args = append(newer.Args, "--quota-backend-bytes=1")
	w.lay = nil
	if err := w.deliverer().Install(t.Context(), h, newer, nil, false); err != nil {
		t.Fatal(err)
	}
	if code := cheftest.Client(m.Root, []string{"--once"}, t.Output()); code != 0 {
		t.Fatalf("a run on Chef's own timer: exit %d", code)
	}
	if got, err := w.deliverer().Inspect(t.Context(), h); err != nil || got.Installed != newer.Digest() {
		t.Errorf("node %q (%v) after Chef's own run, want the newer one, %s", got.Installed, err, newer.Digest())
	}
}

// A run that fails says why in Chef's words, changes nothing else, and the next
// delivery after the repair converges.
func TestChefFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t).withChef()
	h := w.host("etcd-k3v9qd2")
	m := w.machine(h.Address)
	m.Write(t, cheftest.FailFile, "no space left for cookbooks")
	err := w.deliverer().Install(t.Context(), h, rendered(h), nil, false)
	for _, text := range []string{"etcd-k3v9qd2", "cinc-client on " + h.Address.String(), "FATAL: RuntimeError: no space left for cookbooks"} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("Install: %v, want it to say %q", err, text)
		}
	}
	if got, err := w.deliverer().Inspect(t.Context(), h); err != nil || got.Installed != "" {
		t.Errorf("node %q (%v) after a run that failed, want none", got.Installed, err)
	}
	if err := os.Remove(m.Path(cheftest.FailFile)); err != nil {
		t.Fatal(err)
	}
	if err := w.deliverer().Install(t.Context(), h, rendered(h), nil, false); err != nil {
		t.Error(err)
	}
}

// A run that ends well without our recipe is no delivery.
func TestChefWithoutTheRecipe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.lay = func(context.Context, systemd.Machine, cluster.Host) error { return nil }
	h := w.host("etcd-k3v9qd2")
	err := w.deliverer().Install(t.Context(), h, rendered(h), nil, false)
	if err == nil || !strings.Contains(err.Error(), node.UnitFile) {
		t.Errorf("Install: %v, want it to say what is missing", err)
	}
}
