package cloudflaretest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ServeHTTP implements [http.Handler], for those who do not reach [Fake.URL]: it
// records the answer of a call, holds both against the description, and
// sends it.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.hangs(r) {
		select {
		case <-f.done:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if f.schema != nil {
		f.schema.request(f.t, r, body)
	}
	batch := strings.HasSuffix(r.URL.Path, "/batch")
	if batch && take(f, func(x *faults) *bool { return &x.loseRequest }) {
		panic(http.ErrAbortHandler)
	}
	answer := httptest.NewRecorder()
	f.answer(answer, r, body)
	if batch && take(f, func(x *faults) *bool { return &x.loseAnswer }) {
		panic(http.ErrAbortHandler)
	}
	if status := f.statusAfter(batch); status != 0 {
		http.Error(w, "<html>Bad gateway</html>", status)
		return
	}
	if raw := take(f, func(x *faults) *[]byte { return &x.answer }); raw != nil {
		w.Write(raw)
		return
	}
	if f.schema != nil && f.described() {
		f.schema.answer(f.t, r, body, answer)
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
}

// described says that all records are of types that descriptions of the API cut
// down to what pleiad writes still know.
func (f *Fake) described() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, z := range f.zones {
		for _, r := range z.records {
			if !slices.Contains([]string{"A", "AAAA", "CNAME", "SRV", "TXT"}, r.Type) {
				return false
			}
		}
	}
	return true
}

// statusAfter is the HTTP status that hides how a batch ended; 0 for none.
func (f *Fake) statusAfter(batch bool) int {
	if !batch {
		return 0
	}
	return take(f, func(x *faults) *int { return &x.status })
}

// hangs says that a call gets no answer.
func (f *Fake) hangs(r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.faults.stall && strings.HasSuffix(r.URL.Path, "/batch") {
		f.faults.stalled = true
	}
	return f.faults.stalled
}

// fault is one reason to refuse.
type fault struct {
	status  int
	code    int
	message string
	chain   []fault
}

func refusal(status, code int, message string) *fault {
	return &fault{status: status, code: code, message: message}
}

func (f *fault) shown() map[string]any {
	out := map[string]any{"code": f.code, "message": f.message}
	var chain []any
	for _, c := range f.chain {
		chain = append(chain, c.shown())
	}
	if chain != nil {
		out["error_chain"] = chain
	}
	return out
}

func (f *Fake) answer(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	result, info, bad := f.route(r, body)
	if bad == nil {
		out := map[string]any{"success": true, "errors": []any{}, "messages": []any{}, "result": result}
		if info != nil {
			out["result_info"] = info
		}
		write(w, http.StatusOK, out)
		return
	}
	if bad.status == http.StatusTooManyRequests {
		if seconds, err := strconv.Atoi(bad.message); err == nil && seconds > 0 {
			w.Header().Set("Retry-After", bad.message)
		}
		bad.message = "Please wait and consider throttling your request speed"
	}
	write(w, bad.status, map[string]any{"success": false, "errors": []any{bad.shown()}, "messages": []any{}, "result": nil})
}

func write(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}

func (f *Fake) route(r *http.Request, body []byte) (result, info any, bad *fault) {
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/client/v4/"), "/")
	batch := len(path) == 4 && path[3] == "batch" && r.Method == http.MethodPost
	list := len(path) == 3 && r.Method == http.MethodGet
	zones := len(path) == 1 && r.Method == http.MethodGet
	f.count(zones, list, batch)
	if pause, ok := next(f, func(x *faults) *[]time.Duration { return &x.limited }); ok {
		return nil, nil, refusal(http.StatusTooManyRequests, 10429, fmt.Sprint(int(pause.Seconds())))
	}
	if pause, ok := next(f, func(x *faults) *[]time.Duration { return x.ofLists(list) }); ok {
		return nil, nil, refusal(http.StatusTooManyRequests, 10429, fmt.Sprint(int(pause.Seconds())))
	}
	rights, bad := f.identify(r)
	if bad != nil {
		return nil, nil, bad
	}
	if path[0] != "zones" || !zones && (len(path) < 3 || path[2] != "dns_records") || !zones && !list && !batch {
		return nil, nil, refusal(http.StatusNotFound, 7003, "Could not route to "+r.URL.Path+", perhaps your object identifier is invalid?")
	}
	f.happens(list, batch)
	if batch {
		defer func() {
			if act := take(f, func(x *faults) *func() { return &x.afterwards }); act != nil {
				act()
			}
		}()
	}
	return f.carryOut(r, path, rights, body, zones, batch)
}

// happens is what somebody else does just before a call is carried out.
func (f *Fake) happens(list, batch bool) {
	var act func()
	f.arm(func(x *faults) {
		switch {
		case batch:
			act, x.meanwhile = x.meanwhile, nil
		case list:
			act = x.list.due()
		}
	})
	if act != nil {
		act()
	}
}

func (f *Fake) carryOut(r *http.Request, path []string, rights map[string]Right, body []byte, zones, batch bool) (result, info any, bad *fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if zones {
		return f.listZones(r.URL.Query(), rights)
	}
	z, right := f.permitted(path[1], rights)
	switch {
	case z == nil || right < ReadRecords || batch && right < EditRecords:
		return nil, nil, refusal(http.StatusForbidden, 10000, "Authentication error")
	case batch:
		return f.batch(z, body)
	}
	return f.listRecords(z, r.URL.Query())
}

func (f *Fake) count(zones, list, batch bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case zones:
		f.calls.Zones++
	case list:
		f.calls.Lists++
	case batch:
		f.calls.Batches++
	}
}

// identify takes what stands in the headers: they are the service's first check.
func (f *Fake) identify(r *http.Request) (map[string]Right, *fault) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	kind := r.Header.Get("Content-Type")
	switch {
	case !ok || token == "" || strings.ContainsAny(token, " \t"):
		return nil, &fault{status: http.StatusBadRequest, code: 6003, message: "Invalid request headers",
			chain: []fault{{code: 6111, message: "Invalid format for Authorization header"}}}
	case r.Method == http.MethodGet && kind != "", r.Method != http.MethodGet && kind != "application/json":
		return nil, &fault{status: http.StatusBadRequest, code: 6003, message: "Invalid request headers",
			chain: []fault{{code: 6105, message: "Invalid Content-Type header, valid values are application/json,multipart/form-data"}}}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	rights, known := f.tokens[token]
	if !known {
		return nil, refusal(http.StatusForbidden, 10000, "Authentication error")
	}
	return rights, nil
}

func (f *Fake) permitted(id string, rights map[string]Right) (*zone, Right) {
	for _, z := range f.zones {
		if z.ID == id {
			return z, rights[z.Name]
		}
	}
	return nil, 0
}

// listZones finds zones by their exact name, of those that the token sees.
func (f *Fake) listZones(q url.Values, rights map[string]Right) (result, info any, bad *fault) {
	if bad := known(q, "name", "page", "per_page", "status"); bad != nil {
		return nil, nil, bad
	}
	found := []any{}
	for _, z := range f.zones {
		if rights[z.Name] >= ReadZone && (!q.Has("name") || q.Get("name") == z.Name) {
			found = append(found, z.shown(rights[z.Name]))
		}
	}
	return found, map[string]any{"page": 1, "per_page": 20, "count": len(found), "total_count": len(found), "total_pages": 1}, nil
}

// known refuses parameters that the service would not look at: a filter that is
// misspelt gives everything.
func known(q url.Values, names ...string) *fault {
	for name := range q {
		if !slices.Contains(names, name) {
			return refusal(http.StatusBadRequest, 1004, "unknown parameter "+name)
		}
	}
	return nil
}

func (f *Fake) listRecords(z *zone, q url.Values) (result, info any, bad *fault) {
	if bad := known(q, "name.endswith", "name.exact", "type", "order", "direction", "page", "per_page"); bad != nil {
		return nil, nil, bad
	}
	records := z.records
	if f.faults.stale > 0 {
		f.faults.stale--
		records = z.before
	}
	match := []Record{}
	for _, r := range records {
		if strings.HasSuffix(r.Name, q.Get("name.endswith")) && (!q.Has("name.exact") || r.Name == q.Get("name.exact")) && (!q.Has("type") || r.Type == q.Get("type")) {
			match = append(match, r)
		}
	}
	if q.Get("order") == "name" {
		slices.SortStableFunc(match, func(a, b Record) int { return strings.Compare(a.Name, b.Name) })
	}
	page, size := number(q.Get("page"), 1), number(q.Get("per_page"), 100)
	if page < 1 || size < 1 || size > 5_000_000 {
		return nil, nil, refusal(http.StatusBadRequest, 1004, "page or per_page out of range")
	}
	if f.PageLimit > 0 {
		size = min(size, f.PageLimit)
	}
	from := min((page-1)*size, len(match))
	to := min(from+size, len(match))
	shown := []any{}
	for _, r := range match[from:to] {
		shown = append(shown, r.shown())
	}
	return shown, map[string]any{"page": page, "per_page": size, "count": len(shown), "total_count": len(match), "total_pages": (len(match) + size - 1) / size}, nil
}

func number(text string, otherwise int) int {
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return n
}

// strict decodes JSON that must have known fields alone and nothing behind it.
func strict(raw []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("more than one value")
	}
	return nil
}
