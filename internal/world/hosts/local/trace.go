package local

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

// Trace implements hosts.Provider: a member holds the lock in its folder for as
// long as it runs, also when the folder was removed.
func (p *Provider) Trace(ctx context.Context) ([]cluster.Host, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	root, err := filepath.EvalSymlinks(p.root) // the kernel tells paths without links
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("trace members of %s: %w", p.hosts(), err)
	}
	there := &Provider{root: root, cluster: p.cluster}
	found, err := process.Orphans(there.hosts())
	if err != nil {
		return nil, fmt.Errorf("trace members of %s: %w", p.hosts(), err)
	}
	var out []cluster.Host
	for path, stamp := range found { // of files that had these paths, links resolved
		name, ok := strings.CutSuffix(strings.TrimPrefix(path, there.hosts()+"/"), "/"+configFolder+"/"+memberLock)
		if !ok || checkName(cluster.MemberName(name)) != nil {
			continue
		}
		h := there.host(claim{Name: cluster.MemberName(name)})
		h.Copy = "" // there is no folder to be one
		h.Node = cluster.Known(cluster.Node{Process: cluster.Process{Running: true, PID: stamp.PID}})
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b cluster.Host) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return out, nil
}
