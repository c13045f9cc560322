package cloudflare

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/listing"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rr"
)

// Cloudflare's TTLs, in seconds: 1 stands for automatic.
const (
	automatic    = 1
	automaticTTL = 300
	leastTTL     = 60
	mostTTL      = 86400
)

// stored is one record as the API lists it. A record set of n values is n of
// them.
type stored struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Name    string    `json:"name"`
	Content string    `json:"content"`
	Data    *service  `json:"data"`
	TTL     uint32    `json:"ttl"`
	Proxied bool      `json:"proxied"`
	Created time.Time `json:"created_on"`
}

// written is one record as the API takes it. Proxied is always said.
type written struct {
	ID      string   `json:"id,omitempty"` // of the record it replaces
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Content string   `json:"content,omitempty"`
	Data    *service `json:"data,omitempty"`
	TTL     uint32   `json:"ttl"`
	Proxied bool     `json:"proxied"`
	Comment string   `json:"comment,omitempty"`
}

// service is the data of an SRV record. Content, which shows it too, is for
// people: it has no priority.
type service struct {
	Priority uint16 `json:"priority"`
	Weight   uint16 `json:"weight"`
	Port     uint16 `json:"port"`
	Target   string `json:"target"`
}

// key is the record set that a record belongs to.
func (s stored) key() cluster.Key {
	return cluster.Key{Name: listing.Plain(s.Name) + ".", Type: cluster.RecordType(s.Type)}
}

// content is a record's value, wherever its traffic is sent.
func (s stored) content() (string, error) {
	switch cluster.RecordType(s.Type) {
	case cluster.SRV:
		if s.Data == nil {
			return "", fmt.Errorf("%s SRV: a record without its data", s.Name)
		}
		target := listing.Plain(s.Data.Target) + "."
		return fmt.Sprintf("%d %d %d %s", s.Data.Priority, s.Data.Weight, s.Data.Port, target), nil
	case cluster.TXT:
		text, err := rr.Unquote(s.Content)
		if err != nil {
			return "", fmt.Errorf("%s TXT: %w", s.Name, err)
		}
		return text, nil
	}
	return strings.ToLower(s.Content), nil
}

// value is what a record means in DNS: behind a proxy, not its content.
func (s stored) value() (string, error) {
	content, err := s.content()
	if s.Proxied && err == nil {
		return cluster.Proxied(content), nil
	}
	return content, err
}

// seconds is the record's TTL.
func (s stored) seconds() uint32 {
	if s.TTL == automatic {
		return automaticTTL
	}
	return s.TTL
}

// older says which of two records was made first, the same to everybody.
func (s stored) older(than stored) bool {
	if !s.Created.Equal(than.Created) {
		return s.Created.Before(than.Created)
	}
	return s.ID < than.ID
}

// write is the record that carries one value of a record set.
func write(set cluster.RecordSet, value, comment string) (written, error) {
	w := written{Type: string(set.Type), Name: listing.Plain(set.Name), TTL: lifetime(set.TTL), Comment: comment}
	switch set.Type {
	case cluster.SRV:
		f := strings.Split(value, " ") // dns.Check vouches for the form
		w.Data = &service{Target: listing.Plain(f[3])}
		for i, to := range []*uint16{&w.Data.Priority, &w.Data.Weight, &w.Data.Port} {
			n, err := strconv.ParseUint(f[i], 10, 16)
			if err != nil {
				return w, err
			}
			*to = uint16(n)
		}
	case cluster.TXT:
		w.Content = rr.Quote(value)
	default:
		w.Content = value
	}
	return w, nil
}

// lifetime is the TTL nearest to the wanted one that all plans allow.
func lifetime(ttl uint32) uint32 { return min(max(ttl, leastTTL), mostTTL) }
