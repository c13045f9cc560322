package member

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// replace makes path hold exactly b, durably: after nil the new content
// survives a power cut, and at every moment before it a reader sees the old
// content or the new one, whole. There must be one writer; the temporary file
// then has a fixed name, so that a crash leaves at most one behind and the next
// write removes it. The file's mode is 0600.
func replace(path string, b []byte) error {
	beside := path + ".tmp"
	if err := writeSynced(beside, b); err != nil {
		return err
	}
	if err := os.Rename(beside, path); err != nil {
		return fmt.Errorf("replace file: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

// writeSynced writes a file and waits until its content is on the disk; its
// name is not until [syncFolder].
func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("write file %s: %w", path, err)
	}
	return nil
}

// syncFolder waits until the names in a folder are on the disk. Windows has no
// such call and orders renames itself.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder %s: %w", path, err)
	}
	return nil
}
