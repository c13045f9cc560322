package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/internal/converge"
	"github.com/pleiad-etcd/pleiad/internal/converge/spec"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
	"github.com/pleiad-etcd/pleiad/internal/world/etcd"
	"github.com/pleiad-etcd/pleiad/internal/world/statedir"
)

// failure is an error as the outermost layer knows it: what could not be done.
// With exit 0 the kind of err decides about the exit code.
type failure struct {
	act  string
	err  error
	exit Exit
	// detail is more about it, a line each.
	detail []string
	hints  []string
}

// Error implements error.
func (f *failure) Error() string { return "cannot " + f.act + ": " + f.err.Error() }

// Unwrap gives the cause.
func (f *failure) Unwrap() error { return f.err }

// cannot says what could not be done, once: the innermost failure is the one
// that is told.
func cannot(act string, err error, hints ...string) error {
	var f *failure
	var quiet quietExit
	if err == nil || errors.As(err, &f) || errors.As(err, &quiet) {
		return err
	}
	return &failure{act: act, err: err, hints: hints}
}

// explain turns any error into text, hints and exit code. It is the only place
// that does.
func explain(ctx context.Context, g *globals, err error) render.Fault {
	if ctx.Err() != nil {
		text := "interrupted"
		var file *fs.PathError
		if errors.As(err, &file) && errors.Is(file, context.Canceled) { // a pipe, before anything was done
			text += " while reading " + file.Path + ": it has not ended"
		} else if g.command == "up" || g.command == "destroy" {
			text += ": run " + g.again(g.command) + " again to continue"
		}
		return faulted(text, Interrupted, nil)
	}
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{act: "go on", err: err}
	}
	var wrong *spec.Error
	if errors.As(f.err, &wrong) {
		lines := strings.Split(wrong.Error(), "\n")
		out := faulted("cannot "+f.act+": "+lines[0], BadSpec, f.hints)
		out.Detail = lines[1:]
		return out
	}
	code, hints := kindOf(g, f.err)
	if f.exit != OK {
		code = f.exit
	}
	// One line, whoever joined errors.
	out := faulted(strings.ReplaceAll(f.Error(), "\n", "; "), code, append(hints, f.hints...))
	for _, line := range f.detail {
		out.Detail = append(out.Detail, "  "+line)
	}
	return out
}

func faulted(text string, code Exit, hints []string) render.Fault {
	if hints == nil {
		hints = []string{}
	}
	return render.Fault{Error: text, Hints: hints, Exit: int(code), Name: code.String()}
}

// kindOf is the exit code for a kind of error, and what can be done about it.
func kindOf(g *globals, err error) (Exit, []string) {
	var state *statedir.Error
	if errors.As(err, &state) {
		code := BadState
		if errors.Is(state, statedir.ErrForeign) {
			code = Occupied
		}
		if state.Hint == "" {
			return code, nil
		}
		return code, []string{state.Advice(g.again)}
	}
	var held *statedir.HeldError
	if errors.As(err, &held) {
		return Busy, []string{"wait until it ends, or wait longer: --timeout 10m"}
	}
	remedies := fault.Remedy(err)
	code, hints := classOf(g, err)
	if code == Failed && remedies != nil {
		return code, remedies // who knows the remedy need not wait or search
	}
	return code, append(remedies, hints...)
}

// classOf is kindOf for errors that know no remedy themselves.
func classOf(g *globals, err error) (Exit, []string) {
	var stalled *converge.Stalled
	for _, kind := range []struct {
		is    error
		code  Exit
		hints []string
	}{
		{statedir.ErrNone, NoCluster, []string{"make one: " + g.again("up")}},
		{syscall.ENOSPC, BadState, []string{"free some space and run the command again; nothing is half-written"}},
		{etcd.ErrDenied, Denied, []string{
			"as a user of etcd that may, make pleiad's if there is none: " + g.again("etcdctl -- --user=root user add pleiad --no-password"),
			"give it the role root: " + g.again("etcdctl -- --user=root user grant-role pleiad root")}},
		{fault.Denied, Denied, []string{"see what is refused, with: " + g.again("doctor")}},
		{fault.Damaged, BadState, nil},
		{fault.Occupied, Occupied, nil},
		{fault.Unsupported, Failed, nil},
		{fault.Unreachable, Unreachable, []string{"see what does not answer, with: " + g.again("doctor")}},
		{discovery.ErrUnavailable, Unreachable, []string{"see what there is, with: " + g.again("status")}},
		{discovery.ErrInvalidArgument, Usage, nil},
	} {
		if errors.Is(err, kind.is) {
			return kind.code, kind.hints
		}
	}
	if errors.As(err, &stalled) {
		hints := []string{"see every call with -v, and a member's log with: " + g.again("logs MEMBER")}
		if stalled.Last == nil { // what fails again and again does not want time
			hints = append(hints, fmt.Sprintf("wait longer than %s: --timeout 10m", stalled.For.Round(time.Second)))
		}
		return Failed, hints
	}
	return Failed, nil
}
