//go:build !linux && !darwin

package process

import "errors"

func startOf(int) (string, error) {
	return "", errors.New("members can run on this machine only where it is Linux or macOS")
}
