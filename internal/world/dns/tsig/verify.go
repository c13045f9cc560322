package tsig

import (
	"errors"
	"slices"

	wire "github.com/miekg/dns"
)

// Fault is what is wrong with a signature: a TSIG error code of RFC 8945,
// section 3, or 0 for nothing.
type Fault uint16

// The faults of a signature.
const (
	None         Fault = 0
	BadSignature Fault = wire.RcodeBadSig
	BadKey       Fault = wire.RcodeBadKey
	BadTime      Fault = wire.RcodeBadTime
)

// String explains a fault to the person who holds the key.
func (f Fault) String() string {
	switch f {
	case None:
		return "the signature is right"
	case BadSignature:
		return "the key's secret differs from the server's (BADSIG)"
	case BadKey:
		return "the server does not know a key of this name and algorithm (BADKEY)"
	case BadTime:
		return "the clocks of server and client differ by more than five minutes (BADTIME)"
	}
	return wire.RcodeToString[int(f)]
}

// Verify checks the signature of a packed message whose last record is a TSIG
// record ([Of] has found it). The MAC of the question is "" for a question.
func (k Key) Verify(packed []byte, record *wire.TSIG, questionMAC string) Fault {
	if wire.CanonicalName(record.Hdr.Name) != k.name || wire.CanonicalName(record.Algorithm) != k.algorithm {
		return BadKey
	}
	// TsigVerify writes the original ID into the message it is given.
	err := wire.TsigVerify(slices.Clone(packed), k.secret, questionMAC, false)
	switch {
	case err == nil:
		return None
	case errors.Is(err, wire.ErrTime):
		return BadTime
	}
	return BadSignature
}

// Of is the TSIG record of a message, nil if it has none. A message with such
// a record anywhere but at its very end is malformed (RFC 8945, section 5.1)
// and gives an error: the part after the record would not be covered by it.
func Of(m *wire.Msg) (*wire.TSIG, error) {
	for _, section := range [][]wire.RR{m.Answer, m.Ns, m.Extra[:max(0, len(m.Extra)-1)]} {
		for _, rr := range section {
			if rr.Header().Rrtype == wire.TypeTSIG {
				return nil, errors.New("a TSIG record that is not the last record")
			}
		}
	}
	record := m.IsTsig()
	if record != nil && record.Algorithm == "" {
		return nil, errors.New("a TSIG record without data")
	}
	return record, nil
}
