package discovery

import (
	"errors"
	"testing"
)

// All sixteen pairs of answers, against the table at Lookup: the one thing
// that must never happen is plain endpoints while TLS ones are not known to be
// absent.
func TestChoose(t *testing.T) {
	found := error(nil)
	absent := error(&Error{Kind: ErrNotFound})
	unknown := error(&Error{Kind: ErrUnavailable})
	unusable := error(&Error{Kind: ErrInvalidRecord})
	const tls, plain = "tls", "plain"
	tests := []struct {
		secure, plain error
		want          any
	}{
		{found, found, ErrMixed}, {found, unusable, ErrMixed}, {found, absent, tls}, {found, unknown, tls},
		{absent, found, plain}, {absent, absent, ErrNotFound}, {absent, unknown, ErrUnavailable}, {absent, unusable, ErrInvalidRecord},
		{unknown, found, ErrUnavailable}, {unknown, absent, ErrUnavailable}, {unknown, unknown, ErrUnavailable}, {unknown, unusable, ErrUnavailable},
		{unusable, found, ErrInvalidRecord}, {unusable, absent, ErrInvalidRecord}, {unusable, unknown, ErrInvalidRecord}, {unusable, unusable, ErrInvalidRecord},
	}
	for _, tt := range tests {
		got, err := choose([]answer{{service: service{name: tls, tls: true}, err: tt.secure}, {service: service{name: plain}, err: tt.plain}})
		if kind, fails := tt.want.(error); fails {
			if !errors.Is(err, kind) {
				t.Errorf("%v, %v: error %v, want %v", tt.secure, tt.plain, err, kind)
			}
		} else if err != nil || got.name != tt.want {
			t.Errorf("%v, %v: %q, error %v; want %s", tt.secure, tt.plain, got.name, err, tt.want)
		}
	}
}
