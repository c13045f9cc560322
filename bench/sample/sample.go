// Package sample is what the benchmarks print: durations that were measured,
// with least, median and greatest.
package sample

import (
	"fmt"
	"slices"
	"time"
)

// Sample is what was measured, in the order of measuring.
type Sample []time.Duration

// Median of a sample that is not empty.
func (s Sample) Median() time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// String prints least, median and greatest.
func (s Sample) String() string {
	if len(s) == 0 {
		return "not measured"
	}
	return fmt.Sprintf("min %s  median %s  max %s  (%d runs)", Ms(slices.Min(s)), Ms(s.Median()), Ms(slices.Max(s)), len(s))
}

// Ms is a duration in milliseconds.
func Ms(d time.Duration) string { return fmt.Sprintf("%6.1f ms", float64(d.Microseconds())/1000) }

// Ratio of two medians.
func Ratio(a, b Sample) float64 { return float64(a.Median()) / float64(b.Median()) }
