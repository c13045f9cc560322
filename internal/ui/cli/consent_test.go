package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

func TestConsent(t *testing.T) {
	danger := []string{"host etcd-a with 1 GB of data\x1b[2J"}
	for name, test := range map[string]struct {
		system  Streams
		output  string
		danger  []string
		allowed bool
		said    string
	}{
		"yes":             {Streams{Interactive: true, In: strings.NewReader("yes\n")}, "text", danger, true, "host etcd-a with 1 GB"},
		"no":              {Streams{Interactive: true, In: strings.NewReader("no\n")}, "text", danger, false, "go on?"},
		"y":               {Streams{Interactive: true, In: strings.NewReader("y\n")}, "text", danger, false, "go on?"},
		"end of input":    {Streams{Interactive: true, In: strings.NewReader("yes")}, "text", danger, false, "go on?"},
		"nobody there":    {Streams{In: strings.NewReader("yes\n")}, "text", danger, false, ""},
		"json":            {Streams{Interactive: true, In: strings.NewReader("yes\n")}, "json", danger, false, ""},
		"nothing at risk": {Streams{}, "text", nil, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			test.system.Err = &out
			err := consent(context.Background(), &System{Streams: test.system}, &globals{output: test.output}, "destroy", destroys, test.danger)
			if (err == nil) != test.allowed {
				t.Errorf("%v, want allowed: %t", err, test.allowed)
			}
			if !strings.Contains(out.String(), test.said) || strings.Contains(out.String(), "\x1b") {
				t.Errorf("said %q, want %q and no escape sequences", out.String(), test.said)
			}
			if f := explain(context.Background(), &globals{}, err0(err)); err != nil && Exit(f.Exit) != Usage {
				t.Errorf("exit %s, want usage", f.Name)
			}
		})
	}
}

func err0(err error) error {
	if err == nil {
		return errors.New("none")
	}
	return err
}

func TestConsentEndsWithTheContext(t *testing.T) {
	in, typing := io.Pipe()
	defer typing.Close()
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := errors.New("interrupt")
	cancel(gone)
	err := consent(ctx, &System{Streams: Streams{Interactive: true, In: in, Err: io.Discard}}, &globals{}, "destroy", destroys, []string{"x"})
	if !errors.Is(err, gone) {
		t.Errorf("%v, want %v", err, gone)
	}
}

func TestBreakpoint(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var errs bytes.Buffer
	hook := breakpoint(&System{Streams: Streams{Err: &errs, Env: func(name string) string {
		return map[string]string{"PLEIAD_BREAKPOINT": socket}[name]
	}}})
	passed := make(chan string)
	go func() {
		hook(context.Background(), "before", "start member etcd-a")
		close(passed)
	}()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || line != "before start member etcd-a\n" {
		t.Fatalf("%q, %v", line, err)
	}
	select {
	case <-passed:
		t.Fatal("the step went on before it was allowed to")
	default:
	}
	fmt.Fprintln(conn, "go on")
	<-passed
	conn.Close()

	// A command that is interrupted does not wait for its test.
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan string)
	go func() {
		hook(ctx, "after", "x")
		close(ended)
	}()
	conn, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	<-ended

	l.Close()
	hook(context.Background(), "after", "the test")
	if !strings.HasPrefix(errs.String(), "breakpoint: ") {
		t.Errorf("a missing socket is not told: %q", errs.String())
	}
	breakpoint(&System{Streams: Streams{Env: func(string) string { return "" }}})(context.Background(), "before", "nothing")
}
