package option

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/tlsutil"
	"go.etcd.io/etcd/client/pkg/v3/types"
)

// text takes anything: etcd does not look at it before it uses it.
func text(string) error { return nil }

func boolean(v string) error {
	if _, err := strconv.ParseBool(v); err != nil {
		return fmt.Errorf("%q is neither true nor false", v)
	}
	return nil
}

// whole takes whole numbers from least that fit into so many bits, in every
// notation that Go's flag package takes: 8192, 8_192, 0x2000. Where etcd's own
// type has 64 bits but nothing that large is meant, it is bounded here, so
// that a file is valid on every platform or on none.
func whole(least uint64, bits int) func(string) error {
	return func(v string) error {
		n, err := strconv.ParseUint(v, 0, bits)
		switch {
		case errors.Is(err, strconv.ErrRange) || err == nil && n < least:
			return fmt.Errorf("%s is out of range: %d to %d", v, least, uint64(1)<<bits-1)
		case err != nil:
			return fmt.Errorf("%q is not a whole number from %d", v, least)
		}
		return nil
	}
}

func millionths(v string) error {
	if n, err := strconv.ParseUint(v, 0, 31); err != nil || n > 1_000_000 {
		return fmt.Errorf("%q is not a number from 0 to 1000000", v)
	}
	return nil
}

// election takes up to 50 s, etcd's own limit (embed/config.go, maxElectionMs).
func election(v string) error {
	if n, err := strconv.ParseUint(v, 0, 31); err != nil || n == 0 || n > 50_000 {
		return fmt.Errorf("%q is not a number of milliseconds from 1 to 50000", v)
	}
	return nil
}

func duration(least time.Duration) func(string) error {
	return func(v string) error {
		d, err := time.ParseDuration(v)
		switch {
		case err != nil:
			return fmt.Errorf("%q is not a duration such as 500ms, 10s or 1h30m", v)
		case d < least:
			return fmt.Errorf("%s is less than %s", v, least)
		}
		return nil
	}
}

// retention takes a number (of hours, or of revisions) or a duration
// (embed/etcd.go, parseCompactionRetention); see also [CheckTogether].
func retention(v string) error {
	if _, err := strconv.ParseUint(v, 10, 31); err == nil {
		return nil
	}
	if d, err := time.ParseDuration(v); err != nil || d < 0 {
		return fmt.Errorf("%q is neither a duration such as 1h nor a number: of hours, or of revisions in mode revision", v)
	}
	return nil
}

func oneOf(values ...string) func(string) error {
	return func(v string) error {
		if !slices.Contains(values, v) {
			return fmt.Errorf("%q is not one of %s", v, strings.Join(values, ", "))
		}
		return nil
	}
}

// authToken takes the kinds of token that etcd knows (auth/store.go,
// NewTokenProvider).
func authToken(v string) error {
	if kind, _, _ := strings.Cut(v, ","); kind != "simple" && kind != "jwt" {
		return fmt.Errorf("%q is neither simple nor jwt,OPTIONS", v)
	}
	return nil
}

func cipherSuites(v string) error {
	if _, err := tlsutil.GetCipherSuites(strings.Split(v, ",")); err != nil {
		return fmt.Errorf("%q: %w", v, err)
	}
	return nil
}

func origins(v string) error {
	if v == "*" {
		return nil
	}
	if _, err := types.NewURLs(strings.Split(v, ",")); err != nil {
		return fmt.Errorf("%q is neither * nor a list of URLs: %w", v, err)
	}
	return nil
}
