package folder

import (
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// Of is the ID of the folder at path.
func Of(path string) (ID, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return "", fmt.Errorf("identify folder %s: %w", path, err)
	}
	h, err := windows.CreateFile(name, 0, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil,
		windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return "", fmt.Errorf("identify folder: %w", &os.PathError{Op: "open", Path: path, Err: err})
	}
	defer windows.CloseHandle(h)
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &info); err != nil {
		return "", fmt.Errorf("identify folder %s: %w", path, err)
	}
	// The moment of creation can be set here, but not the file's index.
	return ID(fmt.Sprintf("inode %d on device %d made at %d", uint64(info.FileIndexHigh)<<32|uint64(info.FileIndexLow),
		info.VolumeSerialNumber, info.CreationTime.Nanoseconds())), nil
}
