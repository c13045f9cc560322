package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

// clock looks whether certificates made now would be valid: the clock must not
// stand before what pleiad wrote earlier, and somebody should keep it right.
func clock(_ context.Context, s Subject) render.Finding {
	now := time.Now()
	out := render.Finding{Check: "clock", Grade: render.Fine, Found: now.UTC().Format(time.RFC3339)}
	if newest := newestFile(s.Root); newest.After(now.Add(time.Minute)) {
		out.Grade = render.Broken
		out.Found += fmt.Sprintf(", but files in the state directory are from %s", newest.UTC().Format(time.RFC3339))
		out.Remedy = "set the clock: certificates would not be valid yet, or for too long"
		return out
	}
	switch kept, known := disciplined(); {
	case !known:
		out.Found += "; whether NTP synchronizes it is unknown"
	case kept:
		out.Found += ", synchronized by NTP"
	default:
		out.Grade = render.Warning
		out.Found += "; no time service synchronizes it"
		out.Remedy = "run an NTP client: members on several machines need clocks within seconds for certificates and TSIG"
		if !s.Spec.OnMachines() && s.Spec.ServesZone() { // everything reads this one clock
			out.Grade, out.Remedy = render.Fine, ""
		}
	}
	return out
}

// newestFile is when the newest of the small files of all homes was written.
func newestFile(root string) time.Time {
	var newest time.Time
	paths, _ := filepath.Glob(filepath.Join(root, "*", "*.json")) // the pattern is well formed
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return newest
}
