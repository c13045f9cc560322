package ec2fake

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
)

// version is the only one of the API that is known.
const version = "2016-11-15"

// largest is how long the body of a request may be.
const largest = 1 << 20

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largest))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	id := s.requestID()
	c, bad := s.admit(r, body)
	if bad != nil {
		send(w, bad.status(), bad.shown(id))
		return
	}
	out, bad := s.handle(c)
	if bad != nil {
		send(w, bad.status(), bad.shown(id))
		return
	}
	send(w, http.StatusOK, out.shown(c.action, id))
}

func send(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(status)
	w.Write(body)
}

func (s *Server) requestID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id("request")
}

// admit makes a call of a request by somebody with the right key.
func (s *Server) admit(r *http.Request, body []byte) (*call, *refusal) {
	if bad := s.account.verify(r, body); bad != nil {
		return nil, bad
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || r.URL.Path != "/" || r.URL.RawQuery != "" || err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, refuse("InvalidRequest", "This fake takes forms that are posted to /")
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, refuse("MalformedQueryString", "The query string contains a syntax error")
	}
	c := newCall(values)
	switch {
	case c.text("Version") != version:
		return nil, refuse("NoSuchVersion", "The requested version (%s) of service AmazonEC2 does not exist", values.Get("Version"))
	case c.action == "":
		return nil, refuse("MissingAction", "The request must contain the parameter Action")
	case action(c.action) == nil:
		return nil, refuse("InvalidAction", "The action %s is not valid for this web service.", c.action)
	}
	return c, nil
}

// action finds what carries out an action; nil for one that is unknown.
func action(name string) func(*Server, *call) (answer, *refusal) {
	return map[string]func(*Server, *call) (answer, *refusal){
		"RunInstances":           (*Server).runInstances,
		"DescribeInstances":      (*Server).describeInstances,
		"StartInstances":         (*Server).startInstances,
		"StopInstances":          (*Server).stopInstances,
		"TerminateInstances":     (*Server).terminateInstances,
		"DescribeVolumes":        (*Server).describeVolumes,
		"DeleteVolume":           (*Server).deleteVolume,
		"CreateTags":             (*Server).createTags,
		"DeleteTags":             (*Server).deleteTags,
		"DescribeSubnets":        (*Server).describeSubnets,
		"DescribeImages":         (*Server).describeImages,
		"DescribeSecurityGroups": (*Server).describeSecurityGroups,
		"DescribeKeyPairs":       (*Server).describeKeyPairs,
	}[name]
}

// handle carries out a call, unless a fault is in the way.
func (s *Server) handle(c *call) (answer, *refusal) {
	f, bad := s.count(c)
	if bad != nil {
		return nil, bad
	}
	if f.when == before {
		if f.code != "" {
			return nil, refuse(f.code, "A fault that was asked for")
		}
		panic(http.ErrAbortHandler)
	}
	out, bad := s.carryOut(c)
	for _, do := range c.later {
		do()
	}
	if f.when == after {
		if f.act == nil {
			panic(http.ErrAbortHandler)
		}
		f.act()
	}
	return out, bad
}

// count counts a call, and says what goes wrong with it.
func (s *Server) count(c *call) (fault, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[c.name()]++
	if s.faults.throttled[c.name()] > 0 {
		s.faults.throttled[c.name()]--
		return fault{}, refuse("RequestLimitExceeded", "Request limit exceeded.")
	}
	return s.faults.due(c.name()), s.faults.permit(c)
}

func (s *Server) carryOut(c *call) (answer, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, bad := action(c.action)(s, c)
	if bad == nil && !c.ended {
		panic(fmt.Sprintf("%s was carried out without being ready", c.action))
	}
	return out, bad
}
