package member

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
)

// tailSize bounds what is read of a log, in bytes: more than etcd writes
// between the reason of its end and the end.
const tailSize = 64 << 10

// lastWord is why a process that began at since ended, as its log tells;
// empty if it does not (or there is none): it was killed, or the machine went
// down.
func lastWord(path string, since time.Time) (string, error) {
	b, err := untrusted.Tail(path, tailSize)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read log: %w", err)
	}
	return Ending(b, since), nil
}

// Ending finds the reason of an end in the tail of a log: from the last line
// backwards, but not into the time before since, the line after which etcd, or
// the Go runtime, ended the process. An error that is followed by no such line
// did not end the process; it is returned only if there is nothing better.
func Ending(log []byte, since time.Time) string {
	survived := ""
	lines := bytes.Split(log, []byte("\n"))
	for _, raw := range slices.Backward(lines) {
		var l logLine
		if json.Unmarshal(raw, &l) != nil {
			if text := string(raw); strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ") {
				return text
			}
			continue
		}
		if at, err := time.Parse(logTime, l.TS); err == nil && at.Before(since.Truncate(time.Microsecond)) {
			break
		}
		if l.Logger == ourLogger {
			continue // what we refuse is in the status; here it may be a second start's, which says nothing about the first
		}
		switch {
		case l.Level == "fatal", l.Level == "panic", l.Level == "warn" && exits(l.Msg):
			return l.text()
		case l.Signal != "":
			return "received signal " + l.Signal
		case l.Level == "error" && survived == "":
			survived = l.text()
		}
	}
	return survived
}

// exits says whether etcd ends after this warning (etcd
// server/etcdmain/etcd.go, startEtcdOrProxyV2).
func exits(msg string) bool {
	return msg == "failed to verify flags" || msg == "failed to start" || strings.HasPrefix(msg, "failed to bootstrap")
}

// undiscovered is how etcd begins to tell any error of its start, whether or not it
// was to discover anything (server/etcdmain/etcd.go, startEtcdOrProxyV2).
const undiscovered = "discovery failed"

func (l logLine) text() string {
	switch {
	case l.Error == "":
		return l.Msg
	case l.Msg == undiscovered:
		return l.Error
	}
	return l.Msg + ": " + l.Error
}
