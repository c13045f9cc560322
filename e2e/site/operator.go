package site

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

// Operator is who works at a site. Others may work there at the same time, and
// know of each other only if they share a state directory.
type Operator struct {
	At       *Site
	Binary   string // the pleiad they run
	SpecFile string
	StateDir string
	Home     string // holds no ssh configuration; pleiad keeps its cache there
}

// Operator makes one who wants a member on each host, with everything in an
// empty folder.
func (s *Site) Operator(binary, dir string) (Operator, error) {
	o := Operator{At: s, Binary: binary, SpecFile: filepath.Join(dir, "pleiad.yaml"), StateDir: filepath.Join(dir, "state"), Home: dir}
	return o, os.WriteFile(o.SpecFile, []byte(s.Spec(s.Hosts)), 0o600)
}

// Pleiad is one command on the site's controller. Its process is pleiad's own,
// so that it can be signalled.
func (o Operator) Pleiad(ctx context.Context, command string, args ...string) *exec.Cmd {
	args = append([]string{command, "-f", o.SpecFile, "--state-dir", o.StateDir}, args...)
	cmd := o.At.Command(ctx, o.Binary, args...)
	// Whatever this machine's agent holds, nobody there may log in with it.
	cmd.Env = append(cmd.Env, "HOME="+o.Home, "SSH_AUTH_SOCK=")
	return cmd
}
