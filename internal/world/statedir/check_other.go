//go:build !unix

package statedir

import "io/fs"

func self() int { return 0 }

func ownerOf(fs.FileInfo) (int, bool) { return 0, false }

// permissions are not told by mode bits here; the user's profile folder is
// protected by its access control list.
func permissions(fs.FileInfo) fs.FileMode { return 0 }
