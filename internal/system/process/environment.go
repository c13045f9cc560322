package process

import (
	"os"
	"runtime"
	"slices"
	"strings"
)

// Environment is what a child gets of this process's environment: what Go's
// runtime, the C library and etcd's consent to an untested platform need, and
// nothing else. A child lives for months, and whatever it was given can be read
// from /proc/PID/environ for as long: the tokens and cloud keys of whoever
// happened to start it have no place there. What would steer etcd (ETCD_*) or
// send its traffic elsewhere (proxies) stays out by the same rule.
func Environment() []string {
	return filtered(os.Environ(), runtime.GOOS)
}

func filtered(environ []string, goos string) []string {
	return slices.DeleteFunc(environ, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		if goos == "windows" { // names differ in case there: Path is PATH
			name = strings.ToUpper(name)
		}
		return !slices.Contains(inherited(), name)
	})
}

func inherited() []string {
	return []string{
		"PATH", "TMPDIR", "TZ",
		"GODEBUG", "GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GOTRACEBACK", "GOCOVERDIR",
		"ETCD_UNSUPPORTED_ARCH",
	}
}
