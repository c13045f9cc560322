package hosts

import (
	"bytes"
	"context"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/client/pkg/v3/transport"

	"github.com/pleiad-etcd/pleiad/e2e/site"
)

// operator is who works with a spec and a state directory.
type operator struct {
	*world
	site.Operator
}

// operator is one more who wants a member on each host, with a state directory
// that nobody else knows.
func (w *world) operator(name string) operator {
	w.Helper()
	dir := filepath.Join(w.dir, name)
	w.ok(os.Mkdir(dir, 0o700))
	o, err := w.Operator(binary, dir)
	w.ok(err)
	o.Home = filepath.Dir(binary) // one for all: it holds the packed program
	return operator{w, o}
}

// in is the same operator in a subtest.
func (o operator) in(w *world) operator { return operator{w, o.Operator} }

// tls names the operator's files.
func (o operator) tls() transport.TLSInfo {
	pki := filepath.Join(o.StateDir, site.Cluster, "pki")
	return transport.TLSInfo{
		TrustedCAFile: filepath.Join(pki, "client-ca.crt"),
		CertFile:      filepath.Join(pki, "operator.crt"), KeyFile: filepath.Join(pki, "operator.key"),
	}
}

// start starts pleiad. It must end within three minutes.
func (o operator) start(args ...string) *run {
	o.Helper()
	return o.prepare(args...).start()
}

// startAt starts pleiad and stops it at each boundary between steps, until at
// returns; see CONTRIBUTING.md.
func (o operator) startAt(at func(r *run, line string), args ...string) *run {
	o.Helper()
	r := o.prepare(args...)
	var socket string
	socket, r.closed = breakpoints(o.TB, func(line string) { at(r, line) })
	r.cmd.Env = append(r.cmd.Env, "PLEIAD_BREAKPOINT="+socket)
	return r.start()
}

func (o operator) prepare(args ...string) *run {
	r := &run{TB: o.TB, args: args, cmd: o.Pleiad(context.Background(), args[0], args[1:]...), ended: make(chan struct{}), closed: func() {}}
	r.cmd.Stdout, r.cmd.Stderr = &r.said, &r.said
	return r
}

// must runs a command that has to succeed.
func (o operator) must(args ...string) *run {
	o.Helper()
	return o.start(args...).ends(0)
}

// refused runs a command that must end with an exit code and certain words.
func (o operator) refused(code int, words []string, args ...string) *run {
	o.Helper()
	return o.start(args...).ends(code, words...)
}

// output is what a command that has to succeed prints on its standard output
// alone.
func (o operator) output(args ...string) (out string, r *run) {
	o.Helper()
	var b bytes.Buffer
	r = o.prepare(args...)
	r.cmd.Stdout = &b
	r.start().ends(0)
	return b.String(), r
}
