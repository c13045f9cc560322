//go:build !linux && !darwin

package process

import "errors"

func startOf(int) (started string, ended bool, err error) {
	return "", false, errors.New("members can run on this machine only where it is Linux or macOS")
}
