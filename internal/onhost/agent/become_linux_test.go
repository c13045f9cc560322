package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// With the rights of another user root cannot write where that user could not;
// and who is not root does nothing at all under another user's name.
func TestAsAnotherUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	other := User{UID: os.Getuid() + 12345, GID: os.Getgid() + 12345}
	file := filepath.Join(dir, "file")
	err := as(other, func() error { return os.WriteFile(file, nil, 0o600) })
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("as %d: %v, want a refusal", other.UID, err)
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was written: %v", err)
	}
	// And back: whichever thread this runs on has its own rights again.
	for range 100 {
		if err := as(User{UID: os.Getuid(), GID: os.Getgid()}, func() error { return os.WriteFile(file, nil, 0o600) }); err != nil {
			t.Fatalf("as myself: %v", err)
		}
	}
}
