package process

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

var errZombie = errors.New("has ended")

// szomb is SZOMB of <sys/proc.h>.
const szomb = 5

func startOf(pid int) (string, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return "", err
	}
	if info.Proc.P_stat == szomb {
		return "", errZombie
	}
	t := info.Proc.P_starttime
	return fmt.Sprintf("%d.%06d", t.Sec, t.Usec), nil
}
