package main

import (
	"fmt"
	"slices"
	"time"
)

// sample is what was measured, in the order of measuring.
type sample []time.Duration

func (s sample) median() time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// String prints least, median and greatest.
func (s sample) String() string {
	return fmt.Sprintf("min %s  median %s  max %s  (%d runs)", ms(slices.Min(s)), ms(s.median()), ms(slices.Max(s)), len(s))
}

func ms(d time.Duration) string { return fmt.Sprintf("%6.1f ms", float64(d.Microseconds())/1000) }

func ratio(a, b sample) float64 { return float64(a.median()) / float64(b.median()) }
