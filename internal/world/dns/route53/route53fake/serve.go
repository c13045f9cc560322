package route53fake

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/world/amazon/amazontest"
)

const (
	namespace = "https://route53.amazonaws.com/doc/2013-04-01/"
	change    = "ChangeResourceRecordSets"
	// largest is how long the body of a request may be.
	largest = 1 << 20
)

// refusal is why a call was not carried out.
type refusal struct {
	status   int
	code     string
	messages []string
}

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status, code, []string{fmt.Sprintf(format, args...)}}
}

// request is one call, read.
type request struct {
	Call
	query url.Values
	batch *batch
}

// serve answers one call.
func (f *Fake) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largest))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	action, id := route(r)
	fault, hangs := f.next(action)
	if hangs {
		select {
		case <-f.done:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	}
	if fault.LoseRequest {
		panic(http.ErrAbortHandler)
	}
	if fault.Before != nil {
		fault.Before()
	}
	out, bad := f.handle(r, body, action, id, fault)
	switch {
	case fault.LoseAnswer:
		panic(http.ErrAbortHandler)
	case fault.StatusAfter != 0:
		http.Error(w, "<html>Bad gateway</html>", fault.StatusAfter)
	case fault.Body != nil:
		w.Write(fault.Body)
	case bad != nil:
		f.send(w, bad.status, bad.shown(f.OldForm))
	default:
		f.send(w, http.StatusOK, out)
	}
}

func (f *Fake) handle(r *http.Request, body []byte, action, id string, fault Fault) (any, *refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fault.Code != "" {
		return nil, refuse(max(fault.Status, http.StatusBadRequest), fault.Code, "A fault that was asked for")
	}
	q := request{Call: Call{Action: action, Zone: id}, query: r.URL.Query()}
	who, bad := f.identify(r, body)
	if bad != nil {
		return nil, bad
	}
	if action == change {
		f.batches = append(f.batches, string(body))
		if q.batch, bad = parse(body); bad != nil {
			return nil, bad
		}
		q.Names, q.Types, q.Actions = q.batch.about()
	}
	if who.may != nil && !who.may(q.Call) {
		resource := "arn:aws:route53:::hostedzone/" + id
		if action == "ListHostedZonesByName" {
			resource = "*"
		}
		return nil, refuse(http.StatusForbidden, "AccessDenied", "User: arn:aws:iam::123456789012:user/etcd is not authorized to perform: route53:%s on resource: %s because no identity-based policy allows the route53:%s action", action, resource, action)
	}
	return f.carryOut(q)
}

// route is the action that a request is for, and the ID in it.
func route(r *http.Request) (action, id string) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if parts[0] != "2013-04-01" {
		return "", ""
	}
	switch parts = parts[1:]; {
	case r.Method == http.MethodGet && slices.Equal(parts, []string{"hostedzonesbyname"}):
		return "ListHostedZonesByName", ""
	case r.Method == http.MethodGet && len(parts) == 2 && parts[0] == "hostedzone":
		return "GetHostedZone", parts[1]
	case r.Method == http.MethodGet && len(parts) == 3 && parts[0] == "hostedzone" && parts[2] == "rrset":
		return "ListResourceRecordSets", parts[1]
	case r.Method == http.MethodPost && len(parts) == 3 && parts[0] == "hostedzone" && parts[2] == "rrset":
		return change, parts[1]
	case r.Method == http.MethodGet && len(parts) == 2 && parts[0] == "change":
		return "GetChange", parts[1]
	}
	return "", ""
}

// identify looks whose the signature is.
func (f *Fake) identify(r *http.Request, body []byte) (user, *refusal) {
	who, known := f.users[amazontest.AccessKey(r)]
	signer := amazontest.Signer{Key: who.key, Region: "us-east-1", Service: "route53"}
	fault, what := signer.Check(r, body)
	switch {
	case fault == amazontest.None:
		return who, nil
	case fault == amazontest.Missing:
		return who, refuse(http.StatusForbidden, "MissingAuthenticationToken", "Missing Authentication Token")
	case fault == amazontest.Incomplete:
		return who, refuse(http.StatusForbidden, "IncompleteSignature", "Authorization header is not of the form")
	case fault == amazontest.Late:
		return who, refuse(http.StatusForbidden, "SignatureDoesNotMatch", "Signature expired: %s is not now", what)
	case fault == amazontest.Unknown || !known:
		return who, refuse(http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")
	case fault == amazontest.Elsewhere:
		return who, refuse(http.StatusForbidden, "SignatureDoesNotMatch", "Credential should be scoped to a valid region, not %s", what)
	case fault == amazontest.Unsigned:
		return who, refuse(http.StatusForbidden, "SignatureDoesNotMatch", "The header %s is not signed", what)
	}
	return who, refuse(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
}

func (f *Fake) carryOut(q request) (any, *refusal) {
	var z *zone
	if q.Zone != "" && q.Action != "GetChange" {
		if z = f.zone(q.Zone); z == nil {
			return nil, refuse(http.StatusNotFound, "NoSuchHostedZone", "No hosted zone found with ID: %s", q.Zone)
		}
	}
	switch q.Action {
	case "ListHostedZonesByName":
		return f.listZones(q)
	case "GetHostedZone":
		return z.shownWhole(), nil
	case "ListResourceRecordSets":
		return f.listSets(z, q)
	case change:
		return f.change(z, q.batch)
	case "GetChange":
		return f.getChange(q.Zone)
	}
	return nil, refuse(http.StatusNotFound, "InvalidAction", "This fake does not know the action")
}

// known refuses parameters that the service would not look at.
func (q request) known(names ...string) *refusal {
	for name := range q.query {
		if !slices.Contains(names, name) {
			return refuse(http.StatusBadRequest, "InvalidInput", "unknown parameter %s", name)
		}
	}
	return nil
}

// page is how many items are wanted.
func (f *Fake) page(q request, most int) (int, *refusal) {
	n := most
	if text := q.query.Get("maxitems"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 {
			return 0, refuse(http.StatusBadRequest, "InvalidInput", "1 validation error detected: Value '%s' at 'maxItems' failed to satisfy constraint", text)
		}
	}
	if f.PageLimit > 0 {
		n = min(n, f.PageLimit)
	}
	return min(n, most), nil
}

func (f *Fake) send(w http.ResponseWriter, status int, out any) {
	raw, err := xml.Marshal(out)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	io.WriteString(w, xml.Header)
	w.Write(raw)
}

// shown is a refusal as it is answered. That of a batch had a form of its own once.
func (r *refusal) shown(old bool) any {
	type oldForm struct {
		XMLName  xml.Name `xml:"https://route53.amazonaws.com/doc/2013-04-01/ InvalidChangeBatch"`
		Messages []string `xml:"Messages>Message"`
		Request  string   `xml:"RequestId"`
	}
	type form struct {
		XMLName xml.Name `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ErrorResponse"`
		Type    string   `xml:"Error>Type"`
		Code    string   `xml:"Error>Code"`
		Message string   `xml:"Error>Message"`
		Request string   `xml:"RequestId"`
	}
	const id = "b25f48e8-84fd-11e6-80d9-574e0c4664cb"
	message := r.messages[0]
	if r.code == "InvalidChangeBatch" {
		if old {
			return oldForm{Messages: r.messages, Request: id}
		}
		message = "[" + strings.Join(r.messages, ", ") + "]"
	}
	return form{Type: "Sender", Code: r.code, Message: message, Request: id}
}
