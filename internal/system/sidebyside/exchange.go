package sidebyside

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"time"
)

// Exchange asks one name server, host:port, over a network, and over TCP again if the
// answer was cut off. ctx bounds it.
func Exchange(ctx context.Context, network, server string, query []byte) ([]byte, error) {
	answer, err := once(ctx, network, server, query)
	if err == nil && truncated(answer) && !strings.HasPrefix(network, "tcp") {
		answer, err = once(ctx, "tcp", server, query)
	}
	return answer, err
}

// maxDatagram is more than any name server sends over UDP: the net package
// offers 1232 bytes.
const maxDatagram = 4096

// headerSize is that of a DNS message; the TC bit is in its third byte
// (RFC 1035, section 4.1.1).
const headerSize = 12

func truncated(message []byte) bool { return message[2]&0x02 != 0 }

// answers says whether message is a response to query: same ID, QR bit set.
// The net package compares the question.
func answers(message, query []byte) bool {
	return len(message) >= headerSize && message[0] == query[0] && message[1] == query[1] && message[2]&0x80 != 0
}

// once asks the name server once, over a socket of its own as the net
// package would; ctx bounds it.
func once(ctx context.Context, network, server string, query []byte) ([]byte, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if strings.HasPrefix(network, "tcp") {
		if _, err := c.Write(frame(query)); err != nil {
			return nil, err
		}
		return readFrame(c, query)
	}
	if _, err := c.Write(query); err != nil {
		return nil, err
	}
	b := make([]byte, maxDatagram)
	for {
		n, err := c.Read(b)
		if err != nil {
			return nil, err
		}
		if answers(b[:n], query) {
			return b[:n], nil
		}
	}
}

// frame puts a message's length before it, as DNS over a stream wants (RFC
// 1035, section 4.2.2).
func frame(message []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
}

// unframe cuts the first whole message from a stream.
func unframe(b []byte) (message, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, b, false
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	if len(b) < n {
		return nil, b, false
	}
	return b[2:n], b[n:], true
}

func readFrame(c net.Conn, query []byte) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		return nil, err
	}
	if !answers(b, query) {
		return nil, errors.New("name server sent something other than an answer")
	}
	return b, nil
}
