// Package folder tells a folder from a copy of it.
//
// [Of] gives a folder's [ID], which the maker of the folder writes into it. If
// the ID there is not the folder's own, the folder is a copy: what its files say
// about processes, addresses and rights is about another folder.
//
// An ID is the folder's inode number and the time at which the file system created
// it. A rename keeps both. A copy, a restored backup and a file system moved file
// by file have others; nobody can set the creation time, so that an inode number
// that is used again is no match. The device is not part of an ID, because its
// number may be another one after a reboot on btrfs, device mapper and network file
// systems. An inode number alone may change with a mount, or fit a copy. So a folder
// without a creation time (NFS, ext3, older ZFS) has no ID: whether it is a copy
// cannot be told, and it is not taken for one.
//
// What an ID cannot tell is a copy of a whole file system, block by block: a
// cloned disk, or a snapshot. Beside the original on one machine, os.SameFile can.
package folder

// ID identifies a folder on its file system. It is only ever compared. The empty
// ID is that of a folder of which nothing can be told.
type ID string

// Is says whether the folder at path is the one that an ID was given to. What
// cannot be told, because there is no ID or no such folder, is not denied.
func (id ID) Is(path string) bool {
	if id == "" {
		return true
	}
	have, err := Of(path)
	return err != nil || have == "" || have == id
}
