package cloudflaretest

import (
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// input is a record as it is sent. Pointers tell what was left out.
type input struct {
	ID      string   `json:"id"`
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Content *string  `json:"content"`
	Data    *Service `json:"data"`
	TTL     *int     `json:"ttl"`
	Proxied *bool    `json:"proxied"`
	Comment string   `json:"comment"`
}

// batch carries out a batch, or nothing of it.
func (f *Fake) batch(z *zone, body []byte) (result, info any, bad *fault) {
	f.history = append(f.history, string(body))
	var in struct {
		Deletes []struct {
			ID string `json:"id"`
		} `json:"deletes"`
		Puts  []input `json:"puts"`
		Posts []input `json:"posts"`
	}
	if err := strict(body, &in); err != nil {
		return nil, nil, refusal(http.StatusBadRequest, 9207, "Request body is invalid: "+err.Error())
	}
	if size := len(in.Deletes) + len(in.Puts) + len(in.Posts); size == 0 || size > z.BatchLimit {
		return nil, nil, refusal(http.StatusBadRequest, 1004, fmt.Sprintf("batch of %d operations; want 1 to %d", size, z.BatchLimit))
	}
	next := transaction{fake: f, zone: z.Zone, records: slices.Clone(z.records), failing: f.faults.operation}
	f.faults.operation = 0
	out := map[string][]any{"deletes": {}, "patches": {}, "puts": {}, "posts": {}}
	f.now = f.now.Add(time.Millisecond) // of the whole transaction
	for _, d := range in.Deletes {
		gone, bad := next.delete(d.ID)
		if bad != nil {
			return nil, nil, bad
		}
		out["deletes"] = append(out["deletes"], gone.shown())
	}
	for _, i := range in.Puts {
		r, bad := next.put(i)
		if bad != nil {
			return nil, nil, bad
		}
		out["puts"] = append(out["puts"], r.shown())
	}
	for _, i := range in.Posts {
		r, bad := next.post(i)
		if bad != nil {
			return nil, nil, bad
		}
		out["posts"] = append(out["posts"], r.shown())
	}
	z.before, z.records = z.records, next.records
	return out, nil, nil
}

// transaction is a zone that is being changed.
type transaction struct {
	fake    *Fake
	zone    Zone
	records []Record
	done    int // operations
	failing int
}

// step counts an operation, and fails if it is the one that should.
func (t *transaction) step() *fault {
	t.done++
	if t.done == t.failing {
		return refusal(http.StatusBadRequest, 1004, "DNS Validation Error")
	}
	return nil
}

func (t *transaction) delete(id string) (Record, *fault) {
	if bad := t.step(); bad != nil {
		return Record{}, bad
	}
	i := t.find(id)
	if i < 0 {
		return Record{}, refusal(http.StatusNotFound, 81044, "Record does not exist.")
	}
	gone := t.records[i]
	t.records = slices.Delete(t.records, i, i+1)
	return gone, nil
}

func (t *transaction) find(id string) int {
	return slices.IndexFunc(t.records, func(r Record) bool { return r.ID == id })
}

func (t *transaction) put(in input) (Record, *fault) {
	if bad := t.step(); bad != nil {
		return Record{}, bad
	}
	i := t.find(in.ID)
	if i < 0 {
		return Record{}, refusal(http.StatusNotFound, 81044, "Record does not exist.")
	}
	r, bad := t.check(in)
	if bad != nil {
		return Record{}, bad
	}
	r.ID, r.Created = in.ID, t.records[i].Created
	t.records[i] = r
	return r, nil
}

func (t *transaction) post(in input) (Record, *fault) {
	if bad := t.step(); bad != nil {
		return Record{}, bad
	}
	if in.ID != "" {
		return Record{}, refusal(http.StatusBadRequest, 1004, "a new record with an id")
	}
	r, bad := t.check(in)
	if bad != nil {
		return Record{}, bad
	}
	if len(t.records) >= t.zone.Quota {
		return Record{}, refusal(http.StatusBadRequest, 81045, "Record quota exceeded.")
	}
	r.ID = t.fake.id("record")
	t.records = append(t.records, r)
	return r, nil
}

var ( // compiled once; never assigned
	hostName    = regexp.MustCompile(`^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]+$`)
	serviceName = regexp.MustCompile(`^_[a-z0-9-]+\._(tcp|udp|tls)\.`)
	quoted      = regexp.MustCompile(`^"([^"\\]|\\.)*"( "([^"\\]|\\.)*")*$`)
)

// check makes a record of an input, or says what is wrong with it.
func (t *transaction) check(in input) (Record, *fault) {
	invalid := func(code int, format string, args ...any) (Record, *fault) {
		return Record{}, &fault{status: http.StatusBadRequest, code: 1004, message: "DNS Validation Error",
			chain: []fault{{code: code, message: fmt.Sprintf(format, args...)}}}
	}
	r := Record{Type: in.Type, Name: strings.ToLower(in.Name), Data: in.Data, Comment: in.Comment, Created: t.fake.now, Modified: t.fake.now}
	switch {
	case len(in.Name) > 255 || !hostName.MatchString(r.Name) || r.Name != t.zone.Name && !strings.HasSuffix(r.Name, "."+t.zone.Name):
		return invalid(9000, "DNS name is invalid.")
	case in.TTL == nil || *in.TTL != 1 && (*in.TTL < 60 || *in.TTL > 86400):
		return invalid(9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.")
	case len(in.Comment) > 100 || strings.ContainsAny(in.Comment, "\r\n"):
		return invalid(9304, "DNS record comment is too long or has line breaks.")
	}
	r.TTL = *in.TTL
	if in.Proxied != nil {
		r.Proxied = *in.Proxied
	}
	if code, why := r.fill(in); why != "" {
		return invalid(code, "%s", why)
	}
	return r, t.fits(r, in.ID)
}

// fill checks and takes the data of a record by its type.
func (r *Record) fill(in input) (code int, why string) {
	if r.Type == "SRV" {
		switch {
		case in.Data == nil || in.Data.Port == 0 || in.Data.Target == "":
			return 9101, "weight, port and target are required data fields."
		case in.Content != nil:
			return 9101, "content is read-only."
		case !serviceName.MatchString(r.Name):
			return 9101, "an SRV record belongs to _service._proto."
		case strings.HasSuffix(in.Data.Target, ".") || !hostName.MatchString(in.Data.Target):
			return 9101, "target is not a valid host name."
		case r.Proxied:
			return 9004, "This record type cannot be proxied."
		}
		return 0, ""
	}
	if in.Content == nil || in.Data != nil {
		return 9005, "Content for " + r.Type + " record is invalid."
	}
	r.Content = *in.Content
	addr, err := netip.ParseAddr(r.Content)
	switch {
	case r.Type == "A" && (err != nil || !addr.Is4()):
		return 9005, "Content for A record must be a valid IPv4 address."
	case r.Type == "AAAA" && (err != nil || !addr.Is6() || addr.Zone() != ""):
		return 9006, "Content for AAAA record must be a valid IPv6 address."
	case r.Type == "TXT" && (!quoted.MatchString(r.Content) || longString(r.Content) || len(r.Content) > 8192):
		return 9207, "Content for TXT record must be quoted strings of at most 255 bytes."
	case r.Type == "TXT" && r.Proxied:
		return 9004, "This record type cannot be proxied."
	case !slices.Contains([]string{"A", "AAAA", "TXT"}, r.Type):
		return 9007, "This fake does not know the type."
	}
	return 0, ""
}

// longString says whether a string of a text has more than 255 bytes, an escape
// being one.
func longString(content string) bool {
	for part := range strings.SplitSeq(strings.Trim(content, `"`), `" "`) {
		if len(regexp.MustCompile(`\\([0-9]{3}|.)`).ReplaceAllString(part, "x")) > 255 {
			return true
		}
	}
	return false
}

// fits holds a record against the others.
func (t *transaction) fits(r Record, id string) *fault {
	for _, o := range t.records {
		switch {
		case o.ID == id && id != "" || o.Name != r.Name:
		case o.Type == "CNAME":
			return refusal(http.StatusBadRequest, 81054, "A CNAME record with that host already exists.")
		case o.same(r):
			return refusal(http.StatusBadRequest, 81058, "An identical record already exists.")
		}
	}
	return nil
}
