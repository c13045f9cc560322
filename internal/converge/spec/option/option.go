// Package option knows the options of etcd that a spec may set: which there are,
// which belong to pleiad, and what each of them takes. Package spec checks with it
// what a person wrote, before anything is planned.
//
// [Check] is for one option, [CheckTogether] for all of them, [Names] for schemas
// and help. What passes is taken by the bundled etcd's own parser as well; tests
// compare the two.
package option

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// ErrUnknown says that the bundled etcd has no option of that name.
var ErrUnknown = errors.New("etcd has no such option")

// Check checks one option, without its dashes. The error says what is wrong and
// what to do; the caller adds the place and, for [ErrUnknown], what may have been
// meant.
func Check(name, value string) error {
	if strings.HasPrefix(name, "-") {
		return fmt.Errorf("write %q without dashes", strings.TrimLeft(name, "-"))
	}
	if strings.HasPrefix(name, "experimental-") {
		return errors.New("etcd 3.7 has no experimental options: they became plain options or feature-gates in 3.6")
	}
	if why := owned(name); why != "" {
		return fmt.Errorf("cannot be set: %s", why)
	}
	check, ok := settable()[name]
	if !ok {
		return ErrUnknown
	}
	if strings.ContainsFunc(value, unicode.IsControl) {
		return fmt.Errorf("%q holds a control character", value)
	}
	return check(value)
}

// CheckTogether checks options that depend on each other, each of which has passed
// [Check]. It returns the option to point at. These are the rules of etcd's
// embed.Config.Validate, which only a process that is about to become a member
// can call.
func CheckTogether(options map[string]string) (name string, err error) {
	number := func(name string, def uint64) uint64 {
		if n, err := strconv.ParseUint(options[name], 0, 64); err == nil {
			return n
		}
		return def
	}
	heartbeat, election := number("heartbeat-interval", 100), number("election-timeout", 1000)
	if election/5 < heartbeat {
		at := "election-timeout"
		if options[at] == "" {
			at = "heartbeat-interval"
		}
		return at, fmt.Errorf("an election timeout of %d ms with a heartbeat interval of %d ms; it must be at least five times as long", election, heartbeat)
	}
	if name, err := checkCompaction(options["auto-compaction-mode"], options["auto-compaction-retention"]); err != nil {
		return name, err
	}
	if options["tls-min-version"] == "TLS1.3" {
		if options["tls-max-version"] == "TLS1.2" {
			return "tls-max-version", errors.New("lower than tls-min-version TLS1.3")
		}
		if options["cipher-suites"] != "" {
			return "cipher-suites", errors.New("cannot be chosen for TLS 1.3, which tls-min-version requires")
		}
	}
	return checkGates(options["feature-gates"])
}

func checkCompaction(mode, retention string) (name string, err error) {
	if mode != "revision" {
		return "", nil
	}
	if retention == "" {
		return "auto-compaction-mode", errors.New("revision needs auto-compaction-retention too: how many revisions to keep")
	}
	if _, err := strconv.ParseUint(retention, 10, 63); err != nil {
		return "auto-compaction-retention", fmt.Errorf("%q is not a number of revisions, which auto-compaction-mode: revision requires", retention)
	}
	return "", nil
}

// Names lists the options that a user may set, sorted.
func Names() []string { return slices.Sorted(maps.Keys(settable())) }
