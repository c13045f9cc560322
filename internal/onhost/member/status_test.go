package member

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pleiad-etcd/pleiad/internal/system/process"
)

func FuzzDecodeStatus(f *testing.F) {
	f.Add(Status{Version: 1, Process: process.Stamp{PID: 7, Started: "boot/1"}, Since: time.Unix(1, 0).UTC(), Flags: "f", Gate: "g", Exit: "e"}.encode())
	f.Add([]byte(`{"version": 1, "process": {"pid": -1}}`))
	f.Add([]byte(`{"version": 2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeStatus(b)
		if err != nil {
			return
		}
		again, err := DecodeStatus(s.encode())
		if err != nil || !cmp.Equal(s, again) {
			t.Errorf("%+v comes back as %+v, %v", s, again, err)
		}
	})
}

func TestStatusOfANewerPleiad(t *testing.T) {
	if s, err := DecodeStatus([]byte(`{"version": 2}`)); err == nil {
		t.Errorf("read as %+v, want an error", s)
	}
}
