package discovery

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestTries(t *testing.T) {
	for conf, want := range map[string]time.Duration{
		"":                                   10 * time.Second,
		"nameserver 10.5.1.2\n":              10 * time.Second,
		strings.Repeat("nameserver a\n", 4):  30 * time.Second,
		"nameserver a\noptions timeout:10\n": 20 * time.Second,
		"nameserver a\noptions edns0 timeout:99 attempts:9\nnameserver b\n": 300 * time.Second,
		"options timeout:0 attempts:x timeout\nnameserver\n":                10 * time.Second,
		strings.Repeat("#\n", maxConf) + "options timeout:30\n":             10 * time.Second,
	} {
		if got := tries(strings.NewReader(conf)); got != want {
			t.Errorf("%.40q: %s, want %s", conf, got, want)
		}
	}
}

// Who has a deadline is given all of it: the last name server may be the one that
// answers. Who has none is given one.
func TestLookupIsBounded(t *testing.T) {
	hour := time.Now().Add(time.Hour)
	mine, cancel := context.WithDeadline(t.Context(), hour)
	defer cancel()
	ctx, release := bounded(mine)
	if end, _ := ctx.Deadline(); !end.Equal(hour) {
		t.Errorf("it ends at %s, want %s", end, hour)
	}
	if release(); ctx.Err() == nil {
		t.Error("it is not released")
	}
	began := time.Now()
	ctx, release = bounded(t.Context())
	defer release()
	if end, has := ctx.Deadline(); !has || end.Sub(began) < lookupTimeout || end.Sub(began) > 16*time.Minute {
		t.Errorf("it ends after %s, want %s or what resolv.conf says", end.Sub(began), lookupTimeout)
	}
}
