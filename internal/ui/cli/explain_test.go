package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/converge"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
	"github.com/pleiad-etcd/pleiad/internal/world/deliver"
	"github.com/pleiad-etcd/pleiad/internal/world/dns"
	"github.com/pleiad-etcd/pleiad/internal/world/hosts"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
	"github.com/spf13/cobra"
)

func TestExplain(t *testing.T) {
	dir := "/state"
	g := &globals{flags: spec.Flags{Cluster: ptr("blue")}, stateDir: dir, timeout: time.Minute}
	_, badYAML := spec.Parse("pleiad.yaml", []byte("cluster: dev\ndomain: dev.test\nmembrs: 3\n"))
	for name, test := range map[string]struct {
		err  error
		want Exit
		text string
		hint string
	}{
		"cannot, once":   {cannot("do this", cannot("do that", errors.New("it broke"))), Failed, "cannot do that: it broke", ""},
		"unknown error":  {errors.New("it broke"), Failed, "cannot go on: it broke", ""},
		"spec":           {cannot("bring it up", badYAML), BadSpec, "cannot bring it up: pleiad.yaml:3:1: ", ""},
		"no cluster":     {cannot("find it", fmt.Errorf("cluster x: %w", statedir.ErrNone)), NoCluster, "nothing is stored", "pleiad up --cluster blue --state-dir /state"},
		"state":          {cannot("x", &statedir.Error{Path: "/p", Problem: "cannot be written", Hint: "do so", Kind: statedir.ErrUnwritable}), BadState, "cannot x: /p: cannot be written", "do so"},
		"foreign state":  {cannot("x", &statedir.Error{Path: "/p", Problem: "not ours", Kind: statedir.ErrForeign}), Occupied, "/p: not ours", ""},
		"copied state":   {cannot("x", &statedir.Error{Path: "/p", Problem: "a copy", Hint: "take it", Run: "take-over", Kind: statedir.ErrCopy}), BadState, "/p: a copy", "take it: pleiad take-over --cluster blue --state-dir /state"},
		"busy":           {cannot("x", &statedir.HeldError{Cluster: "blue", Holder: statedir.Holder{Command: "pleiad up"}}), Busy, "is at work", "--timeout"},
		"disk full":      {cannot("x", fmt.Errorf("write: %w", syscall.ENOSPC)), BadState, "no space left", "free some space"},
		"denied":         {cannot("x", fmt.Errorf("update: %w", dns.ErrDenied)), Denied, "refused", "pleiad doctor --cluster blue"},
		"dns occupied":   {cannot("x", dns.ErrOccupied), Occupied, "in use", "ss -"},
		"port occupied":  {cannot("x", deliver.ErrOccupied), Occupied, "in use", "ss -"},
		"foreign host":   {cannot("x", hosts.ErrForeign), Occupied, "somebody else", ""},
		"unreachable":    {cannot("x", dns.ErrUnreachable), Unreachable, "unreachable", "doctor"},
		"no DNS answer":  {cannot("x", &discovery.Error{Kind: discovery.ErrUnavailable}), Unreachable, "no usable answer", "status"},
		"bad domain":     {cannot("x", &discovery.Error{Kind: discovery.ErrInvalidArgument, Err: errors.New("domain")}), Usage, "invalid argument", ""},
		"stalled":        {cannot("x", &converge.Stalled{For: time.Minute, Steps: []string{"start member a"}}), Failed, "start member a", "-v"},
		"stalled on DNS": {cannot("x", &converge.Stalled{For: time.Minute, Last: dns.ErrUnreachable}), Unreachable, "unreachable", "doctor"},
	} {
		t.Run(name, func(t *testing.T) {
			f := explain(context.Background(), g, test.err)
			if Exit(f.Exit) != test.want || f.Name != test.want.String() {
				t.Errorf("exit %d %s, want %d", f.Exit, f.Name, test.want)
			}
			if !strings.Contains(f.Error, test.text) || strings.Count(f.Error, "cannot ") != 1+strings.Count(f.Error, ": cannot be") || strings.Contains(f.Error, "\n") {
				t.Errorf("text %q, want one line with one cannot and %q", f.Error, test.text)
			}
			if hints := strings.Join(f.Hints, "\n"); !strings.Contains(hints, test.hint) || test.hint == "" && hints != "" {
				t.Errorf("hints %q, want %q", hints, test.hint)
			}
		})
	}
}

func TestExplainShowsTheLine(t *testing.T) {
	_, err := spec.Parse("pleiad.yaml", []byte("cluster: dev\ndomain: dev.test\nmembrs: 3\n"))
	f := explain(context.Background(), &globals{}, cannot("read it", err))
	if got := strings.Join(f.Detail, "\n"); !strings.Contains(got, "membrs: 3") || !strings.Contains(got, "^") {
		t.Errorf("detail %q does not show the line", got)
	}
}

func TestExplainInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	// Before the spec is stored, only what was typed says what was wanted.
	typed := &globals{flags: spec.Flags{Cluster: ptr("c"), Domain: ptr("d.example"), Members: ptr(5), TLS: ptr("off")}, command: "up"}
	if f := explain(ctx, typed, nil); f.Error != "interrupted: run pleiad up --cluster c --domain d.example --members 5 --tls off again to continue" {
		t.Errorf("with flags: %q", f.Error)
	}
	for command, want := range map[string]string{
		"up":      "interrupted: run pleiad up -f a.yaml again to continue",
		"destroy": "interrupted: run pleiad destroy -f a.yaml again to continue",
		"status":  "interrupted",
	} {
		f := explain(ctx, &globals{flags: spec.Flags{File: "a.yaml"}, command: command}, cannot("x", errors.New("context canceled")))
		if f.Error != want || Exit(f.Exit) != Interrupted {
			t.Errorf("%s: %q, exit %d; want %q", command, f.Error, f.Exit, want)
		}
	}
}

func TestAgainQuotes(t *testing.T) {
	g := &globals{flags: spec.Flags{File: "my files/it's.yaml"}}
	if got, want := g.again("up"), `pleiad up -f 'my files/it'\''s.yaml'`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := g.again("etcdctl -- put a b"), `pleiad etcdctl -f 'my files/it'\''s.yaml' -- put a b`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A text that reads like a truth value is typed again with its flag.
func TestOwnFlagsKeepTheirText(t *testing.T) {
	var cmd cobra.Command
	cmd.Flags().String("to", ".", "")
	cmd.Flags().Bool("renew", false, "")
	if err := cmd.ParseFlags([]string{"--to", "true", "--renew"}); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(ownFlags(&cmd), " "), "--renew --to true"; got != want {
		t.Errorf("flags %q, want %q", got, want)
	}
}
