//go:build unix

package given

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// write writes into a pipe and is done when the reader has all.
func write(t *testing.T, path string, parts ...string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0) // waits for a reader
	for _, p := range parts {
		if err == nil {
			_, err = f.WriteString(p)
		}
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Error(err)
	}
}

func TestRead(t *testing.T) {
	for text, want := range map[string]string{"": "", "abc": "abc", "abcd": "more than 3 bytes"} {
		b, err := Read(t.Context(), file(t, text), 3)
		if (err != nil) != (len(text) > 3) || err == nil && string(b) != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v", text, b, err)
		}
	}
	var path *fs.PathError
	if _, err := Read(t.Context(), "/dev/zero", 3); !errors.As(err, &path) || !strings.Contains(err.Error(), "more than 3 bytes") {
		t.Errorf("/dev/zero: %v", err)
	}
	if _, err := Read(t.Context(), filepath.Join(t.TempDir(), "none"), 3); !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &path) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Read(t.Context(), t.TempDir(), 3); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("a folder: %v", err)
	}
	if b, err := Read(t.Context(), os.DevNull, 3); err != nil || len(b) != 0 {
		t.Errorf("the null device: %q, %v", b, err)
	}
}

// A pipe is read to its end, when its writer comes and however often it stops.
func TestPipe(t *testing.T) {
	for range 200 {
		for want, parts := range map[string][]string{"": nil, "abc": {"a", "b", "c"}} {
			path := fifo(t)
			wrote := make(chan struct{})
			go func() {
				defer close(wrote)
				write(t, path, parts...)
			}()
			if b, err := Read(t.Context(), path, 3); err != nil || string(b) != want {
				t.Fatalf("%q, %v, want %q", b, err, want)
			}
			<-wrote
		}
	}
	shell := exec.Command("bash", "-c", `exec "$0" -test.run=TestSubstituted <(sleep 0.1; echo late)`, os.Args[0])
	if out, err := shell.CombinedOutput(); err != nil || !strings.Contains(string(out), `got "late\n"`) {
		t.Errorf("<(command): %v\n%s", err, out)
	}
}

// TestSubstituted is the other process of TestPipe.
func TestSubstituted(t *testing.T) {
	if path := os.Args[len(os.Args)-1]; strings.HasPrefix(path, "/dev/fd/") {
		b, err := Read(t.Context(), path, 10)
		println("got", `"`+strings.ReplaceAll(string(b), "\n", `\n`)+`"`)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A pipe that nobody opens, and one in which nothing comes, end with the
// context and leave nothing behind.
func TestPipeEndsWithContext(t *testing.T) {
	silent := fifo(t)
	writer, err := os.OpenFile(silent, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := writer.WriteString("a"); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"nobody opens it": fifo(t), "it never ends": silent} {
		cause := errors.New("no patience left")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, cause)
		if _, err := Read(ctx, path, 3); !errors.Is(err, cause) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		if _, err := Read(ctx, path, 3); err == nil {
			t.Errorf("%s: it is read after the end", name)
		}
	}
}

func TestPipeHasALimit(t *testing.T) {
	endless := fifo(t)
	writer, err := os.OpenFile(endless, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := writer.WriteString("abcd"); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(t.Context(), endless, 3); err == nil || !strings.Contains(err.Error(), "more than 3 bytes") {
		t.Error(err)
	}
}

func TestRegular(t *testing.T) {
	for path, want := range map[string]string{
		file(t, "abc"): "", os.DevNull: "", file(t, "abcd"): "more than 3 bytes", fifo(t): "not a regular file",
		t.TempDir(): "is a directory", "/dev/zero": "not a regular file", "/none": "no such file",
	} {
		if err := Regular(path, 3); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
