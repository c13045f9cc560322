package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	wire "github.com/miekg/dns"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/system/untrusted"
	"github.com/pleiad-etcd/pleiad/internal/world/dns/rr"
)

// heading is the first line of a zone file less the checksum of all that
// follows. To other software it is a comment: the file is a master file that
// any name server loads.
const heading = "; pleiad zone, version 1, sha256 "

// maxStore is the size of the largest zone file, in bytes: many times what a
// cluster needs, and little enough to be held and written as a whole.
const maxStore = 1 << 20

// encode is the zone file: the heading, then one record a line.
func (z *zone) encode() []byte {
	var b strings.Builder
	for _, record := range z.records() {
		b.WriteString(record.String())
		b.WriteByte('\n')
	}
	return []byte(heading + checksum(b.String()) + "\n" + b.String())
}

func checksum(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// decode reads a zone file. Nothing but what encode writes is accepted.
func decode(content []byte) (*zone, error) {
	head, body, _ := strings.Cut(string(content), "\n")
	sum, ok := strings.CutPrefix(head, heading)
	switch {
	case len(content) > maxStore:
		return nil, fmt.Errorf("%d bytes, at most %d are allowed", len(content), maxStore)
	case !ok:
		return nil, fmt.Errorf("line 1: want %q and a checksum", heading)
	case sum != checksum(body):
		return nil, errors.New("the checksum is wrong: the file is cut off or was changed by hand")
	}
	var records []wire.RR
	for line := range strings.Lines(body) {
		record, err := parse(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	if len(records) == 0 {
		return nil, errors.New("the zone is empty")
	}
	return newZone(wire.CanonicalName(records[0].Header().Name), records)
}

// parse reads one record in presentation format. Directives such as $GENERATE,
// which stand for many records, and blank lines are not for this file.
func parse(line string) (wire.RR, error) {
	if line == "" || strings.ContainsRune("$;( \t", rune(line[0])) {
		return nil, fmt.Errorf("%q is not a record", line)
	}
	p := wire.NewZoneParser(strings.NewReader(line+"\n"), ".", "")
	record, ok := p.Next()
	if !ok {
		return nil, fmt.Errorf("%q is not a record: %v", line, p.Err())
	}
	if _, more := p.Next(); more || p.Err() != nil {
		return nil, fmt.Errorf("%q is more than a record", line)
	}
	return record, nil
}

// errNotStorable: the zone would not come back from its file as it is.
var errNotStorable = errors.New("the zone cannot be stored")

// save makes the zone durable. It reads back what it is about to write: what
// does not survive the file must be refused, not lost at the next start.
func (z *zone) save(dir string) error {
	content := z.encode()
	back, err := decode(content)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotStorable, err)
	}
	if !slices.EqualFunc(z.records(), back.records(), same) {
		return fmt.Errorf("%w: a record changes its form", errNotStorable)
	}
	return writeFile(filepath.Join(dir, zoneFile), content)
}

func same(a, b wire.RR) bool { return wire.IsDuplicate(a, b) && a.Header().Ttl == b.Header().Ttl }

// loadZone reads the zone file in a folder.
func loadZone(dir string) (*zone, error) {
	path := filepath.Join(dir, zoneFile)
	content, err := untrusted.Read(path, maxStore)
	if err != nil {
		return nil, damaged(dir, err)
	}
	z, err := decode(content)
	if err != nil {
		return nil, damaged(dir, fmt.Errorf("zone file %s: %w", path, err))
	}
	return z, nil
}

// Load reads the record sets of the zone in a server's folder, without a
// server. A zone file that is missing or damaged is an error.
func Load(dir string) (cluster.Records, error) {
	z, err := loadZone(dir)
	if err != nil {
		return cluster.Records{}, err
	}
	var records cluster.Records
	for name, kinds := range z.sets {
		for kind, set := range kinds {
			if !changeable(kind) {
				continue
			}
			out, err := rr.Unpack(cluster.Key{Name: name, Type: cluster.RecordType(wire.TypeToString[kind])}, set)
			if err != nil {
				return cluster.Records{}, fmt.Errorf("zone file %s: %w", filepath.Join(dir, zoneFile), err)
			}
			records.Sets = append(records.Sets, out)
		}
	}
	return records.With(nil), nil // sorted
}
