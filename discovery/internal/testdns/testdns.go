// Package testdns is a name server on a loopback address for the tests and
// examples of package discovery. It is authoritative for every name, holds the
// record sets that a test gives it, and misbehaves on request.
package testdns

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Server answers over UDP and TCP at Addr until Close.
type Server struct {
	// Addr is host:port, the same port for UDP and TCP.
	Addr string

	servers []*dns.Server
	wg      sync.WaitGroup

	mu     sync.Mutex
	sets   map[dns.Question][]dns.RR
	faults map[string]int // by name, or "name TYPE": an rcode, or Silent
	asked  []string       // "network name TYPE", in order of arrival
}

// Silent as a fault means that no answer is sent.
const Silent = -1

// Start starts a server that holds the given records; see [Server.Add].
func Start(records ...string) (*Server, error) {
	s := &Server{sets: map[dns.Question][]dns.RR{}, faults: map[string]int{}}
	if err := s.Add(records...); err != nil {
		return nil, err
	}
	tcp, udp, err := listen()
	if err != nil {
		return nil, err
	}
	s.Addr = tcp.Addr().String()
	s.servers = []*dns.Server{{Listener: tcp, Handler: s}, {PacketConn: udp, Handler: s}}
	for _, server := range s.servers {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		s.wg.Go(func() { _ = server.ActivateAndServe() })
		<-started
	}
	return s, nil
}

// listen opens a TCP and a UDP socket on one free port. Another program may
// hold the UDP port that belongs to a free TCP port, so it looks on.
func listen() (net.Listener, net.PacketConn, error) {
	var errs error
	for range 16 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, err
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return tcp, udp, nil
		}
		errs = errors.Join(errs, err, tcp.Close())
	}
	return nil, nil, errs
}

// Close stops the server and waits for it.
func (s *Server) Close() {
	for _, server := range s.servers {
		_ = server.Shutdown()
	}
	s.wg.Wait()
}

// Add adds records, in the format of a zone file, to their record sets:
// "m1.lab.test. 60 IN A 127.0.0.1".
func (s *Server) Add(records ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			return fmt.Errorf("record %q: %w", r, err)
		}
		k := key(rr.Header().Name, rr.Header().Rrtype)
		s.sets[k] = append(s.sets[k], rr)
	}
	return nil
}

// Remove removes the record sets of the given names, of all types.
func (s *Server) Remove(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.sets {
		for _, n := range names {
			if k.Name == strings.ToLower(n) {
				delete(s.sets, k)
			}
		}
	}
}

// Fault makes every question for a name end with an rcode, or unanswered
// ([Silent]); dns.RcodeSuccess ends the fault.
func (s *Server) Fault(name string, rcode int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[strings.ToLower(name)] = rcode
}

// FaultType is [Server.Fault] for the questions of one type, such as "A".
func (s *Server) FaultType(name, qtype string, rcode int) { s.Fault(name+" "+qtype, rcode) }

// Asked returns the questions so far, each as "udp name. TYPE", the name as it
// was asked.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, request *dns.Msg) {
	q := request.Question[0]
	network := w.LocalAddr().Network()
	reply := new(dns.Msg).SetReply(request)
	reply.Authoritative = true
	s.mu.Lock()
	s.asked = append(s.asked, fmt.Sprintf("%s %s %s", network, q.Name, dns.TypeToString[q.Qtype]))
	fault, ok := s.faults[strings.ToLower(q.Name+" "+dns.TypeToString[q.Qtype])]
	if !ok {
		fault = s.faults[strings.ToLower(q.Name)]
	}
	reply.Answer = append(reply.Answer, s.sets[key(q.Name, q.Qtype)]...)
	if len(reply.Answer) == 0 && !s.exists(q.Name) {
		reply.Rcode = dns.RcodeNameError
	}
	s.mu.Unlock()
	switch {
	case fault == Silent:
		return
	case fault != dns.RcodeSuccess:
		reply.Answer, reply.Rcode = nil, fault
	}
	if network == "udp" {
		size := dns.MinMsgSize
		if opt := request.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		reply.Truncate(size)
	}
	_ = w.WriteMsg(reply) // a client that has gone is no fault of the test
}

// exists says whether a name has records of any type.
func (s *Server) exists(name string) bool {
	for k := range s.sets {
		if k.Name == strings.ToLower(name) {
			return true
		}
	}
	return false
}

func key(name string, qtype uint16) dns.Question {
	return dns.Question{Name: strings.ToLower(name), Qtype: qtype, Qclass: dns.ClassINET}
}
