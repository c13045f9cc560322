package sample

import (
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		sample Sample
		want   time.Duration
	}{
		{Sample{7}, 7},
		{Sample{9, 1, 5}, 5},
		{Sample{40, 10, 30, 20}, 25},
	} {
		before := append(Sample(nil), c.sample...)
		if got := c.sample.Median(); got != c.want {
			t.Errorf("median of %v: %d, want %d", before, got, c.want)
		}
		for i := range before {
			if c.sample[i] != before[i] {
				t.Errorf("the order of measuring was lost: %v, want %v", c.sample, before)
			}
		}
	}
}

func TestRatio(t *testing.T) {
	if got := Ratio(Sample{30, 10, 20}, Sample{8}); got != 2.5 {
		t.Errorf("ratio: %v, want 2.5", got)
	}
}

func TestTable(t *testing.T) {
	const ms = time.Millisecond
	table := Table{
		{"kill", Sample{1250 * ms, 4500 * time.Microsecond, 30 * ms}},
		{"rolling restart", Sample{2 * ms}},
		{"grow", nil},
	}
	want := strings.Join([]string{
		"kill             min    4.5 ms  median   30.0 ms  max 1250.0 ms  (3 runs)",
		"rolling restart  min    2.0 ms  median    2.0 ms  max    2.0 ms  (1 runs)",
		"grow             not measured",
		"",
	}, "\n")
	var got strings.Builder
	if err := table.Print(&got); err != nil || got.String() != want {
		t.Errorf("table: %v\n%s\nwant\n%s", err, got.String(), want)
	}
}
