package render

// Fault is why a command ended without doing what was asked.
type Fault struct {
	// Error is one line: what could not be done, and why.
	Error string `json:"error"`
	// Detail is more about it, such as the line of a file, a line each.
	Detail []string `json:"detail,omitempty"`
	// Hints are what a person can do, a line each.
	Hints []string `json:"hints"`
	// Exit and Name are the exit code and its name in `pleiad help exit-codes`.
	Exit int    `json:"exit"`
	Name string `json:"name"`
}

// Kind implements Value.
func (Fault) Kind() string { return "error" }

// text keeps to these rules of speech: the program's name, lower case, no full
// stop; hints below it, with the command to type.
func (f Fault) text(p *paper) {
	p.line("%s %s", p.paint(bold, "pleiad:"), f.Error)
	for _, d := range f.Detail {
		p.line("%s", d)
	}
	for _, h := range f.Hints {
		p.line("  hint: %s", h)
	}
}
