// Command imds imitates the EC2 instance metadata service, version 2 only.
//
// It tells instances apart by their source address and serves the files under
// ROOT/ADDRESS: meta-data/..., dynamic/... and user-data. A directory answers
// with the list of its entries. Files are read for every request, so a test may
// change or remove them while the instance runs.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

type server struct {
	root string

	mu     sync.Mutex
	tokens map[string]token
}

// A token is good only for the instance that asked for it.
type token struct {
	instance string
	expires  time.Time
}

func (s *server) issue(instance string, ttl time.Duration) string {
	b := make([]byte, 28)
	rand.Read(b)
	t := hex.EncodeToString(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[t] = token{instance, time.Now().Add(ttl)}
	return t
}

func (s *server) valid(t, instance string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	tok, ok := s.tokens[t]
	return ok && tok.instance == instance && time.Now().Before(tok.expires)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	instance, _, _ := net.SplitHostPort(r.RemoteAddr)
	status := s.serve(w, r, instance)
	if status != http.StatusOK {
		http.Error(w, http.StatusText(status), status)
	}
	log.Printf("%s %s %s %d", instance, r.Method, r.URL.Path, status)
}

func (s *server) serve(w http.ResponseWriter, r *http.Request, instance string) int {
	const ttlHeader = "X-aws-ec2-metadata-token-ttl-seconds"
	if r.URL.Path == "/latest/api/token" {
		if r.Method != http.MethodPut {
			return http.StatusMethodNotAllowed
		}
		// A forwarded request must not obtain a token.
		if r.Header.Get("X-Forwarded-For") != "" {
			return http.StatusForbidden
		}
		ttl, err := strconv.Atoi(r.Header.Get(ttlHeader))
		if err != nil || ttl < 1 || ttl > 21600 {
			return http.StatusBadRequest
		}
		w.Header().Set(ttlHeader, strconv.Itoa(ttl))
		w.Write([]byte(s.issue(instance, time.Duration(ttl)*time.Second)))
		return http.StatusOK
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return http.StatusMethodNotAllowed
	}
	if !s.valid(r.Header.Get("X-aws-ec2-metadata-token"), instance) {
		return http.StatusUnauthorized
	}
	// The first element is a version ("latest", "2021-03-23"); all are alike.
	_, name, ok := strings.Cut(strings.TrimPrefix(path.Clean(r.URL.Path), "/"), "/")
	if !ok {
		name = "."
	}
	body, err := s.read(instance, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return http.StatusNotFound
	case err != nil:
		log.Print(err)
		return http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "text/plain")
	w.Write(body)
	return http.StatusOK
}

func (s *server) read(instance, name string) ([]byte, error) {
	dir := filepath.Join(s.root, instance)
	full := filepath.Join(dir, filepath.FromSlash(name))
	info, err := os.Stat(full)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return os.ReadFile(full)
	}
	entries, err := os.ReadDir(full)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, e := range entries {
		switch {
		case name == "meta-data/public-keys":
			lines = append(lines, e.Name()+"=testbed") // INDEX=KEYNAME, unlike all others
		case e.IsDir():
			lines = append(lines, e.Name()+"/")
		default:
			lines = append(lines, e.Name())
		}
	}
	return []byte(strings.Join(lines, "\n")), nil
}

func main() {
	listen := flag.String("listen", "169.254.169.254:80", "address to serve on")
	root := flag.String("root", ".", "directory with one subdirectory per instance address")
	flag.Parse()
	s := &server{root: *root, tokens: map[string]token{}}
	log.Fatal(http.ListenAndServe(*listen, s))
}
