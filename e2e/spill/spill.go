// Package spill finds secrets where they do not belong: with processes, in what was
// said, in files.
//
// [Watch] samples the arguments and the environment of every process of the machine,
// those in containers too, while a test runs. Which secrets there are may be known
// only afterwards, as they are made meanwhile; so it keeps all that it saw.
// [Secrets] are then looked for there, in texts, and in folders.
package spill

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Secrets are texts that give something away, by what they are.
type Secrets map[string]string

// AddKey adds the lines of base64 that hold the secret of each private key of an
// elliptic curve in a text of PEM: its first two. What follows is the public key, which
// certificates have, too. It says whether there were any.
func (s Secrets) AddKey(name string, pem []byte) bool {
	found, left := false, 0
	for line := range bytes.Lines(pem) {
		text := strings.TrimSpace(string(line))
		switch {
		case strings.HasPrefix(text, "-----"):
			left = 0
			if strings.HasPrefix(text, "-----BEGIN ") && strings.Contains(text, "PRIVATE KEY") {
				left = 2
			}
		case left > 0 && len(text) >= 40:
			left--
			s["a line of "+name+": "+text[len(text)-4:]] = text
			found = true
		}
	}
	return found
}

// In names the secrets that are in a text.
func (s Secrets) In(text string) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if strings.Contains(text, s[name]) {
			out = append(out, name)
		}
	}
	return out
}

// InFiles says which secrets are in which files of a folder, except those that are
// there to hold some.
func (s Secrets) InFiles(root string, except func(path string) bool) (out []string, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || except(path) {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range s.In(string(text)) {
			out = append(out, name+" is in "+path)
		}
		return err
	})
	return out, err
}
