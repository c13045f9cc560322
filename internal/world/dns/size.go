package dns

import (
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// Sizes that an answer may outgrow, in bytes. A resolver then asks again over
// TCP, which fails where TCP to port 53 is filtered.
const (
	// PlainDatagram fits into UDP without EDNS (RFC 1035, section 2.3.4), which
	// is how glibc asks unless it is told otherwise.
	PlainDatagram = 512
	// SafeDatagram fits into UDP with EDNS on any path; Go's resolver and most
	// servers ask for and send no more.
	SafeDatagram = 1232
)

// AnswerSize is how many bytes the answer with a canonical SRV record set takes,
// with EDNS and without the targets' addresses, which a server may leave out.
// The owner's name is written once and referred to; targets are always written
// out (RFC 2782). A server that does not compress sends more.
func AnswerSize(set cluster.RecordSet) int {
	const (
		header   = 12
		question = 2 + 2             // after the name: type, class
		record   = 2 + 2 + 2 + 4 + 2 // reference to the owner, type, class, TTL, length
		service  = 2 + 2 + 2         // priority, weight, port, before the target
		edns     = 1 + 2 + 2 + 4 + 2 // OPT: root, type, size, flags, length
	)
	size := header + nameSize(set.Name) + question + edns
	for _, value := range set.Values {
		size += record + service + nameSize(value[strings.LastIndexByte(value, ' ')+1:])
	}
	return size
}

// nameSize is the bytes of a complete name on the wire: each label with its
// length before it in the dot's stead, then the root.
func nameSize(name string) int {
	if name == "." {
		return 1
	}
	return len(name) + 1
}
