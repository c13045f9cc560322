// Package cheftest is a stand-in for Chef's client in tests: it is not Chef. It
// accepts the options that the real client has, and no others, and lays down what
// the recipe of our cookbook lays down, on a machine that is a folder.
// docs/deliver-chef.md says what was shown with the real client instead.
package cheftest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/node"
)

// FailFile on a machine makes each run fail with what is in it.
const FailFile = "/chef-fails"

// options of chef-client 18 that we use, and whether a word follows.
func options() map[string]bool {
	return map[string]bool{"-z": false, "-c": true, "-N": true, "-r": true, "-l": true, "-L": true, "--no-color": false, "--once": false}
}

// Check says what is wrong with arguments of the client.
func Check(args []string) error {
	var seen []string
	for i := 0; i < len(args); i++ {
		word, known := options()[args[i]]
		if !known {
			return fmt.Errorf("invalid option: %s", args[i])
		}
		seen = append(seen, args[i])
		if word {
			if i++; i == len(args) {
				return fmt.Errorf("missing argument: %s", seen[len(seen)-1])
			}
		}
	}
	if slices.Contains(seen, "-z") && !slices.Contains(seen, "-c") {
		return errors.New("a run without a server needs its configuration")
	}
	return nil
}

// Client is a run on the machine in a folder, and how it ends.
func Client(root string, args []string, out io.Writer) (code int) {
	err := Check(args)
	if err == nil {
		err = run(root)
	}
	if err != nil {
		fmt.Fprintf(out, "[2026-11-28T10:00:00+00:00] FATAL: Stacktrace dumped to /var/lib/pleiad-chef/run/cache/chef-stacktrace.out\n"+
			"[2026-11-28T10:00:00+00:00] FATAL: RuntimeError: %v\n", err)
		return 1
	}
	return 0
}

func run(root string) error {
	if why, err := os.ReadFile(filepath.Join(root, FailFile)); err == nil {
		return errors.New(strings.TrimSpace(string(why)))
	}
	stage := filepath.Join(root, node.StageFolder)
	b, err := os.ReadFile(filepath.Join(stage, node.StageList))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var s node.Stage
	if err == nil {
		s, err = node.DecodeStage(b)
	}
	if err != nil {
		return err
	}
	binary, err := os.ReadFile(filepath.Join(stage, node.StageBinary))
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(binary); hex.EncodeToString(sum[:]) != s.SHA256 {
		return fmt.Errorf("%s has digest %x, want %s", node.StageBinary, sum, s.SHA256)
	}
	return layDown(root, stage, s)
}

func layDown(root, stage string, s node.Stage) error {
	for _, folder := range s.Folders {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	}
	for _, f := range s.Files {
		mode, err := strconv.ParseUint(f.Mode, 8, 9)
		if err != nil {
			return err
		}
		to := f.To
		if !f.Member {
			to = filepath.Join(root, to)
		}
		if err := put(filepath.Join(stage, f.From), to, os.FileMode(mode)); err != nil {
			return err
		}
	}
	if !s.Sealed {
		return nil
	}
	wants := filepath.Join(root, s.Wants)
	if err := os.MkdirAll(filepath.Dir(wants), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join(root, s.Unit), wants); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

func put(from, to string, mode os.FileMode) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if have, err := os.ReadFile(to); err == nil && bytes.Equal(have, content) {
		return os.Chmod(to, mode)
	}
	if err := os.WriteFile(to, content, mode); err != nil {
		return err
	}
	return os.Chmod(to, mode)
}
