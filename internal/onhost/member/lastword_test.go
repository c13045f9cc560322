package member

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestEnding(t *testing.T) {
	since := time.Date(2026, 11, 23, 10, 0, 0, 123456789, time.UTC)
	line := func(seconds int, rest string) string {
		return `{"ts":"` + since.Add(time.Duration(seconds)*time.Second).Format(logTime) + `",` + rest + "}"
	}
	fatal := func(seconds int) string {
		return line(seconds, `"level":"fatal","caller":"etcdmain/etcd.go:204","msg":"discovery failed","error":"listen tcp 127.0.0.1:2380: bind: address already in use"`)
	}
	const said = "listen tcp 127.0.0.1:2380: bind: address already in use"
	info, survived := line(5, `"level":"info","msg":"bye"`), line(1, `"level":"error","msg":"could not reach peer"`)
	for _, tt := range []struct {
		name, want string
		log        []string
	}{
		{name: "empty"},
		{name: "fatal", want: said, log: []string{info, fatal(2)}},
		{name: "fatal, then a flush", want: said, log: []string{fatal(2), info, ""}},
		{name: "at the very beginning", want: said, log: []string{fatal(0)}},
		{name: "of an earlier process", want: "", log: []string{fatal(-1), info}},
		{name: "panic", want: "tocommit(8) is out of range", log: []string{line(2, `"level":"panic","msg":"tocommit(8) is out of range"`), "goroutine 1 [running]:", "main.main()"}},
		{name: "Go panic", want: "panic: index out of range", log: []string{info, "panic: index out of range", "", "goroutine 1 [running]:", "main.main()"}},
		{name: "Go fatal error", want: "fatal error: out of memory", log: []string{info, "fatal error: out of memory", "runtime stack:"}},
		{name: "signal", want: "received signal terminated", log: []string{survived, line(2, `"level":"info","msg":"received signal; shutting down","signal":"terminated"`), info}},
		{name: "flags", want: `failed to verify flags: invalid value`, log: []string{line(2, `"level":"warn","msg":"failed to verify flags","error":"invalid value"`)}},
		{name: "no reason", want: "", log: []string{line(2, `"level":"warn","msg":"slow","error":"it was slow"`), info}},
		{name: "an error it survived", want: "could not reach peer", log: []string{survived, info}},
		{name: "a better reason than that", want: said, log: []string{fatal(1), survived, info}},
		{name: "a second start's refusal", want: said, log: []string{fatal(1), line(2, `"level":"fatal","logger":"pleiad","msg":"already running"`)}},
		{name: "half a line at the start", want: said, log: []string{`"msg":"discov`, fatal(2)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Ending([]byte(strings.Join(tt.log, "\n")), since); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLastWordReadsTheTailOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	if got, err := lastWord(path, time.Time{}); got != "" || err != nil {
		t.Errorf("without a log: %q, %v", got, err)
	}
	const near, far = `{"level":"fatal","msg":"near"}`, `{"level":"fatal","msg":"far"}`
	padding := strings.Repeat(strings.Repeat("x", 1023)+"\n", tailSize/1024)
	for _, tt := range []struct{ content, want string }{
		{far + "\n" + padding + near + "\n", "near"},
		{far + "\n" + padding, ""},
		{padding + near, "near"},
	} {
		write(t, path, []byte(tt.content))
		if got, err := lastWord(path, time.Time{}); got != tt.want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, tt.want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	mkdir(t, path)
	if got, err := lastWord(path, time.Time{}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a log that cannot be read: %q, %v, want an error that names it", got, err)
	}
}
