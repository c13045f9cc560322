//go:build !unix

package agenttest

import "os"

func terminate(p *os.Process) error { return p.Kill() }
