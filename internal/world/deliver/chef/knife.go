package chef

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/fault"
	"github.com/pleiad-etcd/pleiad/internal/system/given"
)

// Knife is how machines are logged in to, for knife bootstrap.
type Knife struct {
	User         string
	Port         uint16
	IdentityFile string
	// KnownHosts holds the machines' host keys, for which knife asks nobody;
	// empty for ~/.ssh/known_hosts.
	KnownHosts string
	// Command is the program; empty for knife.
	Command string
}

// Args are the arguments of knife bootstrap. They name files that hold secrets,
// and hold none.
func (i *Installer) Args(h cluster.Host) []string {
	k, c := i.knife, i.settings
	whom := h.Reach().Address.String()
	if k.User != "" {
		whom = k.User + "@" + whom
	}
	args := []string{"bootstrap", whom, "-N", i.nodeName(h), "--yes", "--ssh-verify-host-key", "always", "--no-color"}
	add := func(option, value string) {
		if value != "" {
			args = append(args, option, value)
		}
	}
	add("-i", k.IdentityFile)
	if k.Port != 0 {
		add("-p", strconv.Itoa(int(k.Port)))
	}
	if k.User != "root" {
		args = append(args, "--sudo")
	}
	add("-c", c.KnifeConfig)
	add("--bootstrap-product", orElse(c.Product, "cinc"))
	add("--bootstrap-url", c.InstallURL)
	if c.PolicyName != "" {
		add("--policy-name", c.PolicyName)
		add("--policy-group", c.PolicyGroup)
		return args
	}
	add("-r", i.runList())
	return args
}

// enrolment is how long knife may take, package included: no step has longer.
const enrolment = 2 * time.Minute

// maxSaid is how much of what knife prints is kept.
const maxSaid = 1 << 20

func (k Knife) bootstrap(ctx context.Context, i *Installer, h cluster.Host) error {
	ctx, cancel := context.WithTimeoutCause(ctx, enrolment, fmt.Errorf("not done within %s", enrolment))
	defer cancel()
	home, err := k.home(ctx)
	if err != nil {
		return fmt.Errorf("prepare knife: %w", err)
	}
	if home != "" {
		defer os.RemoveAll(home)
	}
	cmd := exec.CommandContext(ctx, orElse(k.Command, "knife"), i.Args(h)...)
	cmd.Env = os.Environ()
	if home != "" {
		cmd.Env = append(cmd.Env, "HOME="+home)
	}
	cmd.WaitDelay = time.Second
	var said ending
	cmd.Stdout, cmd.Stderr = &said, &said
	switch err := cmd.Run(); {
	case err == nil:
		return nil
	case status(err) == noLicence || bytes.Contains(said.text(), []byte("LicenseNotAccepted")):
		return unlicensed("knife", "here")
	case errors.Is(err, exec.ErrNotFound):
		return fault.WithRemedy(fmt.Errorf("enrol %s: %w", h.Address, err), "install knife here, or have Chef run without a server: deliver: {chef: {way: local}}")
	case ctx.Err() != nil:
		return fmt.Errorf("enrol %s: %w", h.Address, context.Cause(ctx))
	default:
		return fmt.Errorf("enrol %s: knife bootstrap: %w: %s", h.Address, err, Reason(said.text()))
	}
}

// home is a home directory for knife in which ~/.ssh/known_hosts are the host keys
// that were named, and knife's own configuration is where it was; empty where
// the user's will do.
func (k Knife) home(ctx context.Context) (string, error) {
	if k.KnownHosts == "" {
		return "", nil
	}
	mine, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	path := k.KnownHosts
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		path = filepath.Join(mine, rest)
	}
	keys, err := given.Read(ctx, path, 4<<20)
	if err != nil {
		return "", err
	}
	home, err := os.MkdirTemp("", "pleiad-knife-")
	if err != nil {
		return "", err
	}
	err = os.Mkdir(filepath.Join(home, ".ssh"), 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(home, ".ssh", "known_hosts"), keys, 0o600)
	}
	for _, own := range []string{".chef", ".cinc"} {
		if _, there := os.Stat(filepath.Join(mine, own)); there == nil {
			err = errors.Join(err, os.Symlink(filepath.Join(mine, own), filepath.Join(home, own)))
		}
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(home))
	}
	return home, nil
}

// ending keeps the end of what is written.
type ending struct{ b []byte }

// Write implements io.Writer.
func (e *ending) Write(b []byte) (int, error) {
	e.b = append(e.b, b...)
	if len(e.b) > 2*maxSaid {
		e.b = append([]byte(nil), e.b[len(e.b)-maxSaid:]...)
	}
	return len(b), nil
}

func (e *ending) text() []byte { return e.b }
