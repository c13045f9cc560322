package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"

	wire "github.com/miekg/dns"
	"github.com/pleiad-etcd/pleiad/internal/system/durable"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/tsig"
)

// maxUDP is the largest UDP answer, in bytes: what goes everywhere without
// fragments (DNS Flag Day 2020). Go's resolver offers the same.
const maxUDP = 1232

// server answers messages. Questions read the zone without waiting; updates
// are made one at a time.
type server struct {
	dir  string
	key  tsig.Key
	log  *slog.Logger
	zone atomic.Pointer[zone]

	writing sync.Mutex // held from reading the zone to replacing it
}

func openServer(dir string, set settings, log *slog.Logger) (*server, error) {
	key, err := readKey(dir)
	if err != nil {
		return nil, damaged(dir, err)
	}
	z, err := loadZone(dir)
	if err != nil {
		return nil, err
	}
	if z.apex != set.Zone {
		return nil, fmt.Errorf("zone file %s holds zone %s, want %s", filepath.Join(dir, zoneFile), z.apex, set.Zone)
	}
	s := &server{dir: dir, key: key, log: log}
	s.zone.Store(z)
	return s, nil
}

// respond is the whole server as a function: from a message to the answer, or
// nil for what must not be answered. An answer is at most 65,535 bytes, over
// UDP at most what the asker takes.
func (s *server) respond(packet []byte, udp bool) (answer []byte) {
	defer func() {
		// A bug, ours or the library's, must cost one answer and not the server.
		if p := recover(); p != nil {
			s.log.Error("panic while answering", "panic", p, "stack", string(debug.Stack()))
			answer = nil
		}
	}()
	const headerSize, responseBit = 12, 0x80
	if len(packet) < headerSize || packet[2]&responseBit != 0 {
		return nil
	}
	m := new(wire.Msg)
	if err := m.Unpack(packet); err != nil {
		return s.malformed(m)
	}
	signature, err := tsig.Of(m)
	opt, ok := edns(m)
	if err != nil || !ok {
		return s.malformed(m)
	}
	reply := new(wire.Msg)
	reply.SetReply(m)
	reply.Compress = true
	limit := wire.MaxMsgSize - 1
	if udp {
		limit = wire.MinMsgSize
	}
	if opt != nil {
		reply.SetEdns0(maxUDP, opt.Do())
		if udp {
			limit = min(max(int(opt.UDPSize()), wire.MinMsgSize), maxUDP)
		}
	}
	fault := tsig.None
	if signature != nil {
		fault = s.key.Verify(packet, signature, "")
	}
	switch {
	case fault != tsig.None:
		reply.Rcode = wire.RcodeNotAuth
	case opt != nil && opt.Version() != 0:
		reply.Rcode = wire.RcodeBadVers
	case m.Opcode == wire.OpcodeQuery:
		s.zone.Load().query(m, reply)
	case m.Opcode == wire.OpcodeUpdate:
		reply.Rcode = s.update(m, signature != nil)
	default:
		reply.Rcode = wire.RcodeNotImplemented
	}
	return s.finish(reply, signature, fault, limit)
}

// malformed answers what could not be read with its header alone.
func (s *server) malformed(m *wire.Msg) []byte {
	reply := new(wire.Msg)
	reply.Id, reply.Response, reply.Opcode, reply.Rcode = m.Id, true, m.Opcode, wire.RcodeFormatError
	return s.finish(reply, nil, tsig.None, wire.MinMsgSize)
}

// edns is the OPT record of a message, nil if it has none; false if there are
// two or it is not the root's (RFC 6891, section 6.1.1).
func edns(m *wire.Msg) (opt *wire.OPT, ok bool) {
	for _, record := range m.Extra {
		o, is := record.(*wire.OPT)
		if !is {
			continue
		}
		if opt != nil || o.Hdr.Name != "." {
			return nil, false
		}
		opt = o
	}
	return opt, true
}

// finish packs and signs a reply. One that is too large goes without any
// record but the truncation bit: half an SRV set would be taken for a whole
// cluster.
func (s *server) finish(reply *wire.Msg, signature *wire.TSIG, fault tsig.Fault, limit int) []byte {
	packed, err := s.pack(reply.Copy(), signature, fault)
	if err != nil || len(packed) > limit {
		reply.Truncated, reply.Answer, reply.Ns = true, nil, nil
		packed, err = s.pack(reply, signature, fault)
	}
	if err != nil {
		s.log.Error("cannot pack an answer", "error", err)
		return nil
	}
	return packed
}

func (s *server) pack(reply *wire.Msg, signature *wire.TSIG, fault tsig.Fault) ([]byte, error) {
	switch {
	case signature == nil:
		return reply.Pack()
	case fault != tsig.None:
		return s.key.SignFault(reply, signature, fault)
	}
	packed, _, err := s.key.Sign(reply, signature.MAC)
	return packed, err
}

// update carries out an update and returns its response code. NOERROR means
// that it is on disk.
func (s *server) update(m *wire.Msg, signed bool) int {
	if !signed {
		return wire.RcodeRefused
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	before := s.zone.Load()
	after, code := before.update(m)
	if after == before {
		return code
	}
	err := after.save(s.dir)
	switch {
	case errors.Is(err, errNotStorable):
		s.log.Warn("update refused", "error", err)
		return wire.RcodeRefused
	case errors.Is(err, durable.ErrNotSynced):
		// The file has been replaced: go on with what the next start would
		// find. SERVFAIL says that the outcome is not known.
		s.zone.Store(after)
		s.log.Error("update not durable", "serial", after.serial(), "error", err)
		return wire.RcodeServerFailure
	case err != nil:
		s.log.Error("update not stored", "error", err)
		return wire.RcodeServerFailure
	}
	s.zone.Store(after)
	s.log.Info("updated", "serial", after.serial(), "records", len(m.Ns))
	return code
}
