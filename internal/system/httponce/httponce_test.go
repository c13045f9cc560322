package httponce_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/system/bound"
	"github.com/pleiad-etcd/pleiad/internal/system/httponce"
)

const timeout = 10 * time.Second

// A call that nobody can have got is told apart from one that may have arrived, and
// neither a long answer nor a redirection is followed to its end.
func TestDo(t *testing.T) {
	t.Parallel()
	asked := map[string]int{}
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("yes")) })
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(strings.Repeat("x", 200))) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/never", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	no := errors.New("no key")
	for name, c := range map[string]struct {
		url    string
		limit  time.Duration
		made   error
		status int
		sent   bool
		is     error
	}{
		"an answer":         {url: server.URL + "/ok", limit: timeout, status: 200},
		"a redirection":     {url: server.URL + "/away", limit: timeout, status: 302},
		"a long answer":     {url: server.URL + "/long", limit: timeout, sent: true, is: bound.ErrTooLong},
		"cut off":           {url: server.URL + "/cut", limit: timeout, sent: true},
		"no answer in time": {url: server.URL + "/never", limit: 50 * time.Millisecond, sent: true},
		"nobody there":      {url: "http://127.0.0.1:1", limit: timeout},
		"not made":          {url: server.URL + "/ok", limit: timeout, made: no, is: no},
	} {
		a, err := httponce.Do(t.Context(), httponce.Client(nil), c.limit, 100, func(ctx context.Context) (*http.Request, error) {
			asked[name]++
			if c.made != nil {
				return nil, c.made
			}
			return http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
		})
		var lost *httponce.Lost
		switch {
		case a.Status != c.status || (err == nil) != (c.status != 0) || asked[name] != 1:
			t.Errorf("%s: status %d, %v, made %d times", name, a.Status, err, asked[name])
		case c.status == 0 && errors.As(err, &lost) != (c.made == nil):
			t.Errorf("%s: %v is lost: %t", name, err, lost != nil)
		case lost != nil && lost.Sent != c.sent:
			t.Errorf("%s: sent %t, want %t: %v", name, lost.Sent, c.sent, err)
		case c.is != nil && !errors.Is(err, c.is):
			t.Errorf("%s: %v, want %v", name, err, c.is)
		case err != nil && strings.Contains(err.Error(), c.url):
			t.Errorf("%s: it says the whole URL: %v", name, err)
		}
	}
}

// A context that has ended sends nothing, and one that ends says why.
func TestEnded(t *testing.T) {
	t.Parallel()
	why := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err := httponce.Do(ctx, httponce.Client(nil), timeout, 1, func(context.Context) (*http.Request, error) {
		t.Error("the request is made")
		return nil, nil
	})
	var lost *httponce.Lost
	if !errors.As(err, &lost) || lost.Sent || !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}
