package member

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/pki"
	"github.com/pleiad-etcd/pleiad/internal/system/disk"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// Inspect reads what was installed, what the member left, and which
// process runs, on the host it is called on. It changes nothing, takes no lock
// and never waits for the member, whatever that has put in the place of its
// files. It ends with ctx. The result survives JSON unchanged.
//
// What is not there is absent from the result. A file that is there and cannot
// be read or understood is an error that names it, and the node is unknown.
func Inspect(ctx context.Context, paths cluster.Paths) (cluster.Node, error) {
	if ctx.Err() != nil {
		return cluster.Node{}, context.Cause(ctx)
	}
	out, err := inspectInstalled(paths.Config)
	if err != nil {
		return cluster.Node{}, err
	}
	if out.Certificate, err = readCertificates(paths.Config); err != nil {
		return cluster.Node{}, err
	}
	// The process before its data: what a running member does next can then
	// only make the data newer, never the process.
	s, err := ReadStatus(paths.Config)
	if err != nil {
		return cluster.Node{}, err
	}
	if out.Process, err = inspectProcess(s, paths.Log); err != nil {
		return cluster.Node{}, err
	}
	if ctx.Err() != nil {
		return cluster.Node{}, context.Cause(ctx)
	}
	if out.Data, err = inspectData(paths.Data); err != nil {
		return cluster.Node{}, err
	}
	if free, err := disk.Free(paths.Data); err == nil { // unknown, where there is no data yet
		out.Free = &free
	}
	return out, nil
}

// delivered is the part of [Inspect] that a new delivery must not
// contradict: the installed node and the data.
func delivered(paths cluster.Paths) (cluster.Node, error) {
	out, err := inspectInstalled(paths.Config)
	if err != nil {
		return cluster.Node{}, err
	}
	if out.Data, err = inspectData(paths.Data); err != nil {
		return cluster.Node{}, err
	}
	return out, nil
}

func inspectInstalled(configDir string) (cluster.Node, error) {
	n, err := Installed(configDir)
	if err != nil || n == nil {
		return cluster.Node{}, err
	}
	out := cluster.Node{Installed: n.Digest(), Sealed: n.Sealed, Made: n.Made(), Next: cluster.Startup{Flags: n.Flags()}}
	former, err := ReadFormer(configDir)
	if err != nil {
		return cluster.Node{}, err
	}
	if former != nil {
		out.Former = &cluster.Startup{Flags: former.In(*n).Flags()}
	}
	out.Failed, err = ReadFailed(configDir)
	return out, err
}

func inspectData(dataDir string) (cluster.Data, error) {
	if dataDir == "" {
		return cluster.Data{}, nil
	}
	return readData(dataDir)
}

// Installed is the member file in a folder, or nil if there is none.
func Installed(configDir string) (*node.Node, error) {
	path := filepath.Join(configDir, node.FileName)
	b, err := untrusted.Read(path, untrusted.Small)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read member file: %w", err)
	}
	n, err := node.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &n, nil
}

// readCertificates is how long all certificates of the member are valid, nil if
// not all are there: they are issued together.
func readCertificates(configDir string) (*cluster.Certificate, error) {
	var all *cluster.Certificate
	for _, name := range node.CertFiles() {
		c, err := readCertificate(filepath.Join(configDir, name))
		if c == nil {
			return nil, err
		}
		if all != nil {
			*c = c.And(*all)
		}
		all = c
	}
	return all, nil
}

func readCertificate(path string) (*cluster.Certificate, error) {
	b, err := untrusted.Read(path, untrusted.Small)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	cert, err := pki.ParseCertificate("certificate in "+path, b)
	if err != nil {
		return nil, err
	}
	w := pki.Window(cert)
	return &w, nil
}

// inspectProcess says what the status means now. A process that ended without
// a word is explained from its log.
func inspectProcess(s Status, logFile string) (cluster.Process, error) {
	if s.Version == 0 { // none ever ran
		return cluster.Process{}, nil
	}
	p := cluster.Process{PID: s.Process.PID, Since: s.Since, Flags: s.Flags, Args: s.Args, Program: s.Program, Exit: s.Exit}
	if s.Running() {
		p.Running, p.Gate = true, s.Gate
		return p, nil
	}
	if p.Exit == "" && logFile != "" {
		var err error
		if p.Exit, err = lastWord(logFile, s.Since); err != nil {
			return cluster.Process{}, err
		}
	}
	return p, nil
}
