// Package chef has Chef, or Cinc, lay down what pleiad delivers to a machine.
// It stands inside delivery by systemd, which has put all that is to be laid down
// into a folder on the machine, and looks afterwards whether it was:
//
//	systemd.Deliverer ─▶ agent: stage ─▶ Chef's run of our cookbook ─▶ agent: is it all there?
//
// There are two ways. The local one sends the cookbook and runs the client
// without a server. The other has knife enrol a machine that the user's Chef server
// does not know yet, and runs the client of one that it knows; the cookbook is on
// that server then, in a run list or a policy.
//
// What it promises: no key, certificate or configuration is in an argument, an
// attribute or a node object. No licence is accepted. An error quotes
// only those lines of Chef's output that give the reason.
package chef

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	cookbook "github.com/pleiad-etcd/pleiad/chef"
	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/node"
	"github.com/pleiad-etcd/pleiad/internal/system/shell"
)

// Machine runs a command as root on a machine.
type Machine interface {
	Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error)
}

// Installer runs Chef.
type Installer struct {
	settings cluster.Chef
	knife    Knife
}

// New returns an installer; knife is for the way "server" alone.
func New(settings cluster.Chef, knife Knife) *Installer { return &Installer{settings, knife} }

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func (i *Installer) runList() string {
	return orElse(i.settings.RunList, "recipe["+cookbook.Name+"]")
}

func (i *Installer) nodeName(h cluster.Host) string { return i.settings.Prefix + string(h.Name) }

// Path finds the client where packages put it.
const Path = "PATH=$PATH:/usr/local/bin:/usr/bin:/opt/cinc/bin:/opt/chef/bin"

// How the scripts below end where Chef was not run.
const (
	noClient  = 127
	noNode    = 64
	noLicence = 172 // Chef's own, where its licence was not accepted
)

// Converge has Chef lay down what was staged on a host. It returns when the run
// has ended, and an error that says why if it failed.
func (i *Installer) Converge(ctx context.Context, m Machine, h cluster.Host) error {
	if i.settings.Way == "server" {
		return i.throughServer(ctx, m, h)
	}
	packed, err := pack()
	if err != nil {
		return fmt.Errorf("pack the cookbook: %w", err)
	}
	out, err := m.Run(ctx, i.local(h, packed), bytes.NewReader(packed))
	return i.judge(h, out, err)
}

// local unpacks the cookbook into a folder named after its digest, so that two
// controllers do not take it from each other, and runs it.
func (i *Installer) local(h cluster.Host, packed []byte) string {
	sum := sha256.Sum256(packed)
	folder := node.StageFolder + "/" + node.StageCookbook + "-" + hex.EncodeToString(sum[:8])
	return fmt.Sprintf(`set -e
umask 077
%[1]s
command -v %[2]s >/dev/null || exit %[3]d
new=%[4]s.$$
trap 'rm -rf $new' EXIT
mkdir $new
tar -xf - -C $new
[ -d %[4]s ] || mv -T $new %[4]s 2>/dev/null || [ -d %[4]s ]
umask 022
%[2]s -z -c %[4]s/client.rb -N %[5]s -r %[6]s --no-color -l warn -L STDOUT </dev/null 2>&1`,
		Path, shell.Quote(i.settings.Command()), noClient, folder, shell.Quote(i.nodeName(h)), shell.Quote(i.runList()))
}

// clientConfig keeps all that a run without a server writes in a folder of ours.
const clientConfig = `# Written by pleiad: for runs without a server.
local_mode true
chef_repo_path '` + node.StageFolder + `/run'
cookbook_path File.join(__dir__, 'cookbooks')
cache_path '` + node.StageFolder + `/run'
file_cache_path '` + node.StageFolder + `/run/cache'
file_backup_path '` + node.StageFolder + `/run/backup'
lockfile '` + node.StageFolder + `/run/lock'
`

// pack is the cookbook and the client's configuration as a tar file.
func pack() ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(name string, content []byte) error {
		err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content))})
		if err == nil {
			_, err = w.Write(content)
		}
		return err
	}
	err := add("client.rb", []byte(clientConfig))
	files := cookbook.Cookbook()
	err = errors.Join(err, fs.WalkDir(files, cookbook.Name, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		return add("cookbooks/"+path, content)
	}))
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

// throughServer runs the client that a Chef server knows, or has knife enrol the
// machine, which runs it too.
func (i *Installer) throughServer(ctx context.Context, m Machine, h cluster.Host) error {
	out, err := m.Run(ctx, fmt.Sprintf(`%[1]s
[ -s /etc/cinc/client.pem ] || [ -s /etc/chef/client.pem ] || exit %[2]d
command -v %[3]s >/dev/null || exit %[4]d
%[3]s --once --no-color -l warn -L STDOUT </dev/null 2>&1`, Path, noNode, shell.Quote(i.settings.Command()), noClient), nil)
	if status(err) != noNode {
		return i.judge(h, out, err)
	}
	return i.knife.bootstrap(ctx, i, h)
}

// status is how a command on a machine ended; 0 if it is not known.
func status(err error) int {
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// judge makes an error of how a run ended.
func (i *Installer) judge(h cluster.Host, out []byte, err error) error {
	client := i.settings.Command()
	switch status(err) {
	case 0:
		return err
	case noClient:
		return fault.WithRemedy(fmt.Errorf("there is no %s on %s", client, h.Address),
			"install it there, or name another command in the spec under deliver: {chef: {client: NAME}}")
	case noLicence:
		return unlicensed(client, "on "+h.Address.String())
	}
	return fault.WithRemedy(fmt.Errorf("%s on %s: %s", client, h.Address, orElse(Reason(out), err.Error())),
		"repair what Chef names there, then run the command again")
}

func unlicensed(program, where string) error {
	return fault.WithRemedy(fmt.Errorf("%s %s wants its licence to be accepted, which pleiad does for nobody", program, where),
		"accept it yourself, or install Cinc, which has none")
}

// Least is the first version of Chef and of Cinc that the cookbook is for.
const Least = 16

// Reason is what Chef printed that says why a run failed, on one line.
func Reason(out []byte) string {
	const most, wide = 4, 200
	var picked []string
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, line := range lines {
		if !strings.Contains(line, "FATAL: ") && !strings.Contains(line, "ERROR: ") && !strings.HasPrefix(line, "STDERR: ") {
			continue
		}
		if _, text, dated := strings.Cut(line, "] "); dated && strings.HasPrefix(line, "[") {
			line = text
		}
		for _, noise := range []string{"FATAL: Stacktrace dumped", "FATAL: Please provide the contents", "FATAL: ---"} {
			if strings.HasPrefix(line, noise) {
				line = ""
			}
		}
		if line = strings.TrimSpace(line); line == "" || len(picked) == most {
			continue
		}
		picked = append(picked, cut(line, wide))
	}
	if picked == nil {
		for _, line := range lines[max(0, len(lines)-3):] {
			picked = append(picked, cut(strings.TrimSpace(line), wide))
		}
	}
	return strings.Join(picked, "; ")
}

func cut(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most]) + "…"
}
