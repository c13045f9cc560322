//go:build !linux

package doctor

import "os"

func dataSync(f *os.File) error { return f.Sync() }
