package sample

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Row is a sample with the name of what was measured.
type Row struct {
	Name string
	Sample
}

// Table prints rows below each other, in columns.
type Table []Row

// Print writes the table.
func (t Table) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range t {
		fmt.Fprintf(w, "%s\t%s\n", r.Name, r.Sample)
	}
	return w.Flush()
}
