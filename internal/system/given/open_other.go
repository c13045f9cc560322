//go:build !unix

package given

import (
	"io"
	"os"
)

func open(path string) (*os.File, error) { return os.Open(path) }

func patient(f *os.File) io.Reader { return f }
