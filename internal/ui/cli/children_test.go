package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/onhost/member"
)

// With a parent to watch it is no member.
func TestMemberWatches(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want Exit
	}{{nil, 0}, {errors.New("disk full"), Failed}} {
		parent := 0
		s := &System{Streams: Streams{Out: io.Discard, Err: io.Discard, Env: func(string) string { return "" }},
			Watch: func(_ context.Context, dir string, p int, _ io.Writer) error {
				if dir == "/d" {
					parent = p
				}
				return tt.err
			}}
		if got := run(t.Context(), s, []string{"member", "--dir", "/d", "--watch", "812"}); got != tt.want || parent != 812 {
			t.Errorf("%v: exit code %d with parent %d, want %d with 812", tt.err, got, parent, tt.want)
		}
	}
}

// The member's unit is told by the exit code whether another start may help.
func TestMemberEndsByWhatItMet(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want Exit
	}{
		{fmt.Errorf("start: %w", &member.Refusal{Rule: "R6", Why: "its data directory is empty"}), node.ExitRefused},
		{member.ErrRunning, Failed},
		{errors.New("read member file"), Failed},
		{nil, 0},
	} {
		var dir, program string
		s := &System{Streams: Streams{Out: io.Discard, Err: io.Discard, Env: func(string) string { return "" }}, Member: func(_ context.Context, d, p string, _ io.Writer) error {
			dir, program = d, p
			return tt.err
		}}
		if got := run(t.Context(), s, []string{"member", "--dir", "/d", "--exec", "/etcd"}); got != tt.want {
			t.Errorf("%v: exit code %d, want %d", tt.err, got, tt.want)
		}
		if dir != "/d" || program != "/etcd" {
			t.Errorf("the member is of %q with %q, want what the flags say", dir, program)
		}
	}
}
