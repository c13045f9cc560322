//go:build unix

package doctor

import (
	"context"
	"fmt"
	"syscall"

	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

// etcd's operations guide asks for 65536 open files; one member holds about a
// hundred, and one for each client.
const (
	fewFiles  = 1024
	leastOpen = 256
)

func openFiles(context.Context, Subject) render.Finding {
	out := render.Finding{Check: "open files", Grade: render.Fine}
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		out.Grade, out.Found, out.Remedy = render.Warning, err.Error(), "see by hand: ulimit -Hn"
		return out
	}
	most := uint64(l.Max) // members raise their limit to the hard one (Go, package os)
	out.Found = fmt.Sprintf("a process may open %d", most)
	if most > 1<<40 {
		out.Found = "a process may open any number"
	}
	switch {
	case most < leastOpen:
		out.Grade, out.Remedy = render.Broken, "raise the hard limit: ulimit -Hn 65536"
	case most < fewFiles:
		out.Grade, out.Remedy = render.Warning, "raise the hard limit if there will be many clients: ulimit -Hn 65536"
	}
	return out
}
