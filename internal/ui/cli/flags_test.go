package cli

import (
	"bytes"
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
	"github.com/pleiad-etcd/pleiad/internal/pki"
	"github.com/pleiad-etcd/pleiad/internal/world/handout"
)

// parse runs a command line whose commands only note their options.
func parse(t *testing.T, args ...string) (options any, exit Exit, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	s := &System{Streams: Streams{Out: &out, Err: &errs, Env: func(string) string { return "" }}}
	g := &globals{}
	root := newRoot(s, g)
	for _, cmd := range root.Commands() {
		root.RemoveCommand(cmd)
	}
	note := func(o any) error { options = o; return nil }
	root.AddCommand(
		newUp(s, g, func(_ context.Context, o *upOptions) error { return note(o) }),
		newPlan(s, g, func(_ context.Context, o *planOptions) error { return note(o) }),
		newStatus(s, g, func(_ context.Context, o *statusOptions) error { return note(o) }),
		newReplace(s, g, func(_ context.Context, o *replaceOptions) error { return note(o) }),
		newDestroy(s, g, func(_ context.Context, o *destroyOptions) error { return note(o) }),
		newDiscover(s, g, func(_ context.Context, o *discoverOptions) error { return note(o) }),
		newEtcdctl(s, g, func(_ context.Context, o *etcdctlOptions) error { return note(o) }),
		newCertificate(s, g, func(_ context.Context, o *certificateOptions) error { return note(o) }),
		newLogs(s, g, func(_ context.Context, o *logsOptions) error { return note(o) }),
		newInit(s, g, func(_ context.Context, o *initOptions) error { return note(o) }),
	)
	root.SetArgs(args)
	if err := root.ExecuteContext(context.Background()); err != nil {
		f := explain(context.Background(), g, err)
		return options, Exit(f.Exit), f.Error
	}
	return options, OK, errs.String()
}

func TestFlags(t *testing.T) {
	global := func(g *globals, change func(*globals)) bool {
		want := globals{output: "text", command: g.command}
		change(&want)
		return reflect.DeepEqual(*g, want)
	}
	for line, right := range map[string]func(any) bool{
		"up": func(o any) bool { return !o.(*upOptions).yes && global(o.(*upOptions).globals, func(*globals) {}) },
		"up --yes -v --timeout 5s --output json --state-dir /s": func(o any) bool {
			return o.(*upOptions).yes && global(o.(*upOptions).globals, func(g *globals) {
				g.verbose, g.timeout, g.output, g.stateDir = true, 5*time.Second, "json", "/s"
			})
		},
		"replace abc --yes": func(o any) bool {
			r, ok := o.(*replaceOptions)
			return ok && r.member == "abc" && r.yes
		},
		"--cluster blue up --domain b.test --members 5 --tls off": func(o any) bool {
			return global(o.(*upOptions).globals, func(g *globals) {
				g.flags = spec.Flags{Cluster: ptr("blue"), Domain: ptr("b.test"), Members: ptr(5), TLS: ptr("off")}
			})
		},
		"up --members -1":     func(o any) bool { return *o.(*upOptions).flags.Members == -1 },
		"up --cluster=":       func(o any) bool { return *o.(*upOptions).flags.Cluster == "" },
		"plan -f a.yaml":      func(o any) bool { return o.(*planOptions).flags.File == "a.yaml" && !o.(*planOptions).destroy },
		"plan --destroy":      func(o any) bool { return o.(*planOptions).destroy },
		"status --watch":      func(o any) bool { return o.(*statusOptions).watch && o.(*statusOptions).every == 2*time.Second },
		"destroy --yes":       func(o any) bool { return o.(*destroyOptions).yes && !o.(*destroyOptions).keepData },
		"destroy --keep-data": func(o any) bool { return o.(*destroyOptions).keepData && !o.(*destroyOptions).yes },
		"logs etcd-a --follow": func(o any) bool {
			return o.(*logsOptions).follow && o.(*logsOptions).member == "etcd-a" && o.(*logsOptions).flags.File == ""
		},
		"logs a -f a.y": func(o any) bool { return !o.(*logsOptions).follow && o.(*logsOptions).flags.File == "a.y" },
		"init --dns rfc2136 -f -": func(o any) bool {
			return o.(*initOptions).dns == "rfc2136" && o.(*initOptions).hosts == "local" && o.(*initOptions).flags.File == "-"
		},
		"certificate patroni": func(o any) bool {
			c := o.(*certificateOptions)
			return c.request == handout.Request{Application: pki.Application{Name: "patroni"}, Folder: "."} && c.days == 90
		},
		"certificate a --no-user --days 7 --to b --renew": func(o any) bool {
			c := o.(*certificateOptions)
			return c.request == handout.Request{Application: pki.Application{Name: "a", NoUser: true}, Folder: "b", Renew: true} && c.days == 7
		},
		"init --hosts ssh": func(o any) bool {
			return o.(*initOptions).dns == "" && o.(*initOptions).hosts == "ssh" && o.(*initOptions).flags.File == ""
		},
		"discover d.test --name c2 --resolver 127.0.0.1:53 --peers": func(o any) bool {
			d := o.(*discoverOptions)
			return d.domain == "d.test" && d.name == "c2" && d.resolver == "127.0.0.1:53" && d.peers
		},
		"etcdctl --cluster blue -- put -f x": func(o any) bool { return reflect.DeepEqual(o.(*etcdctlOptions).args, []string{"put", "-f", "x"}) },
		"etcdctl get a --prefix --cluster=red": func(o any) bool {
			return reflect.DeepEqual(o.(*etcdctlOptions).args, []string{"get", "a", "--prefix", "--cluster=red"})
		},
	} {
		t.Run(line, func(t *testing.T) {
			o, exit, text := parse(t, strings.Fields(line)...)
			if exit != OK {
				t.Fatalf("exit %s: %s", exit, text)
			}
			if !right(o) {
				t.Errorf("read as %+v", o)
			}
		})
	}
}

func TestWrongFlags(t *testing.T) {
	for line, want := range map[string]string{
		"up extra":            "cannot run pleiad up: it takes no arguments, but got extra",
		"up --members three":  `cannot run pleiad up: invalid argument "three" for "--members" flag: expected a number`,
		"up --members 3x":     "expected a number",
		"up --nope":           "cannot run pleiad up: unknown flag: --nope",
		"up --output xml":     "cannot run pleiad up: --output xml: expected text or json",
		"up --timeout 0s":     "cannot run pleiad up: --timeout 0s: expected a positive duration, such as 1m",
		"up --timeout soon":   `"soon"`,
		"discover":            "cannot run pleiad discover: it takes one argument, the domain",
		"discover a.test b":   "it takes one argument",
		"logs":                "cannot run pleiad logs: it takes one argument, the member",
		"nope":                "cannot run nope: there is no such command",
		"snapshot":            "cannot run snapshot: this version has no such command",
		"--output=xml status": "--output xml",
	} {
		t.Run(line, func(t *testing.T) {
			_, exit, text := parse(t, strings.Fields(line)...)
			if exit != Usage || !strings.Contains(text, want) {
				t.Errorf("exit %s, %q; want usage, %q", exit, text, want)
			}
		})
	}
}

// Every command has a line of help, and what pleiad starts of itself is hidden.
func TestEveryCommandIsDescribed(t *testing.T) {
	root := newRoot(&System{Streams: Streams{Env: func(string) string { return "" }}}, &globals{})
	for _, cmd := range root.Commands() {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short help %q", cmd.Name(), cmd.Short)
		}
		for _, line := range strings.Split(cmd.Long, "\n") {
			if cmd.Name() != "json" && cmd.Name() != "exit-codes" && len(line) > 82 {
				t.Errorf("%s: a line of help of %d characters: %s", cmd.Name(), len(line), line)
			}
		}
	}
	for _, hidden := range []string{"member", "dns-server"} {
		cmd, _, err := root.Find([]string{hidden})
		if err != nil || !cmd.Hidden {
			t.Errorf("%s: hidden %t, %v", hidden, cmd.Hidden, err)
		}
	}
}
