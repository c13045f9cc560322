//go:build !linux && !darwin

package process

import "errors"

func startOf(int) (started string, ended bool, err error) {
	return "", false, errors.New("members can run only on Linux and macOS")
}
