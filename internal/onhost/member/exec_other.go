//go:build !unix

package member

import "errors"

func replaceProcess(string, []string) error {
	return errors.New("a process cannot become another program on this system")
}
