package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/system/disk"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

// nearest is the deepest folder on the way to path that exists: where path
// would be made, and on whose disk.
func nearest(path string) (string, error) {
	for {
		info, err := os.Stat(path)
		switch {
		case err == nil && !info.IsDir():
			return "", fmt.Errorf("%s is not a folder", path)
		case err == nil:
			return path, nil
		case !errors.Is(err, fs.ErrNotExist) || filepath.Dir(path) == path:
			return "", err
		}
		path = filepath.Dir(path)
	}
}

// scratch makes a file on the disk of the state directory.
func scratch(s Subject) (*os.File, error) {
	dir, err := nearest(s.Root)
	if err != nil {
		return nil, err
	}
	return disk.Scratch(dir)
}

func stateDirectory(_ context.Context, s Subject) render.Finding {
	out := render.Finding{Check: "state directory", Grade: render.Fine, Found: s.Root + " is writable"}
	f, err := scratch(s)
	if err == nil {
		err = disk.Discard(f)
	}
	if err == nil && s.Unusable != nil {
		out.Grade, out.Found, out.Remedy = render.Broken, s.Unusable.Error(), s.Unusable.Advice(s.Command)
		if out.Remedy == "" {
			out.Remedy = "use another cluster name: --cluster NAME"
		}
	}
	if err != nil {
		out.Grade, out.Found = render.Broken, err.Error()
		out.Remedy = "make it writable for you, or keep state elsewhere: --state-dir DIR"
	}
	return out
}

// Space that members need, in bytes: etcd allocates its log in segments of
// 64 MB and keeps a second one ready; the database may grow to its quota.
const (
	leastPerMember = 200e6
	easyPerMember  = 2e9
)

func diskSpace(_ context.Context, s Subject) render.Finding {
	out := render.Finding{Check: "disk space", Grade: render.Fine}
	dir, err := nearest(s.Root)
	var free int64
	if err == nil {
		free, err = disk.Free(dir)
	}
	members := int64(1)
	if !s.Spec.OnMachines() {
		members = int64(s.Spec.Members)
	}
	if err != nil {
		out.Grade, out.Found, out.Remedy = render.Warning, err.Error(), "see by hand: df "+shell.Quote(s.Root)
		return out
	}
	out.Found = fmt.Sprintf("%s are free below %s", render.Size(free), dir)
	if out.Grade = gradeSpace(free, members); out.Grade != render.Fine {
		out.Remedy = fmt.Sprintf("%s are needed, %s let databases grow: free some, or keep state elsewhere: --state-dir DIR",
			render.Size(members*leastPerMember), render.Size(members*easyPerMember))
	}
	return out
}

func gradeSpace(free, members int64) render.Grade {
	switch {
	case free < members*leastPerMember:
		return render.Broken
	case free < members*easyPerMember:
		return render.Warning
	}
	return render.Fine
}

func diskLatency(ctx context.Context, s Subject) render.Finding {
	out := render.Finding{Check: "disk latency", Grade: render.Fine}
	dir, err := nearest(s.Root)
	if err != nil {
		out.Grade, out.Found, out.Remedy = render.Broken, err.Error(), "make the state directory writable first"
		return out
	}
	took, err := disk.Measure(ctx, dir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		out.Grade, out.Found, out.Remedy = render.Broken, err.Error(), "make the state directory writable first"
		return out
	case err != nil:
		out.Grade, out.Found, out.Remedy = render.Broken, err.Error(), "see what is wrong with the disk: dmesg"
		return out
	}
	return judgeLatency(took)
}

func judgeLatency(took []time.Duration) render.Finding {
	out := gradeLatency(len(took), disk.Percentile(took, 50), disk.Percentile(took, 99))
	if out.Grade != render.Fine {
		out.Remedy = "keep state on a faster disk (--state-dir DIR), else leaders will change under load"
	}
	return out
}

// gradeLatency leaves the remedy to who knows where the disk is.
func gradeLatency(count int, median, p99 time.Duration) render.Finding {
	const digits = 10 * time.Microsecond
	out := render.Finding{Check: "disk latency", Grade: render.Fine,
		Found: fmt.Sprintf("%d appends of 2 kB made durable: median %s, p99 %s", count, median.Round(digits), p99.Round(digits))}
	if p99 > disk.Slow {
		out.Grade = render.Warning
		out.Found += fmt.Sprintf("; etcd wants less than %s", disk.Slow)
	}
	return out
}
