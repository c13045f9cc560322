package liar

import (
	"net/netip"

	wire "github.com/miekg/dns"
)

// Lie makes an answer from the true one, which it may change; nil is none at
// all. The truth is SERVFAIL where it cannot be had.
type Lie func(truth *wire.Msg) *wire.Msg

// Silence does not answer.
func Silence(*wire.Msg) *wire.Msg { return nil }

// NoSuchName denies that the name exists, as a resolver does that was asked
// too early and remembers.
func NoSuchName(*wire.Msg) *wire.Msg {
	return &wire.Msg{MsgHdr: wire.MsgHdr{Rcode: wire.RcodeNameError}}
}

// Partial leaves out all but the first n records.
func Partial(n int) Lie {
	return func(truth *wire.Msg) *wire.Msg {
		truth.Answer = truth.Answer[:min(n, len(truth.Answer))]
		return truth
	}
}

// Doubled says each record twice.
func Doubled(truth *wire.Msg) *wire.Msg {
	truth.Answer = append(truth.Answer, truth.Answer...)
	return truth
}

// Elsewhere puts the name at another address, whether it exists or not.
func Elsewhere(name string, address netip.Addr) Lie {
	return func(*wire.Msg) *wire.Msg {
		header := wire.RR_Header{Name: wire.CanonicalName(name), Rrtype: wire.TypeA, Class: wire.ClassINET, Ttl: 60}
		return &wire.Msg{Answer: []wire.RR{&wire.A{Hdr: header, A: address.AsSlice()}}}
	}
}
