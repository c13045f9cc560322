package discovery_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/discovery/internal/testdns"
)

// serve starts the name server that the examples ask.
func serve(records ...string) *testdns.Server {
	s, err := testdns.Start(records...)
	if err != nil {
		log.Fatal(err)
	}
	return s
}

func ExampleLookup() {
	server := serve(
		"_etcd-client-ssl._tcp.example.com. 60 IN SRV 0 0 2379 m1.example.com.",
		"_etcd-client-ssl._tcp.example.com. 60 IN SRV 0 0 2379 m2.example.com.",
		"_etcd-client-ssl._tcp.example.com. 60 IN SRV 0 0 2379 m3.example.com.",
	)
	defer server.Close()

	// Without WithResolver the system's resolver is asked.
	resolver := discovery.WithResolver(discovery.NameServer(server.Addr))
	cluster, err := discovery.Lookup(context.Background(), "example.com", resolver)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cluster.Service)
	for _, e := range cluster.Endpoints {
		fmt.Println(e.URL())
	}
	// Output:
	// _etcd-client-ssl._tcp.example.com.
	// https://m1.example.com:2379
	// https://m2.example.com:2379
	// https://m3.example.com:2379
}

// One of several clusters that share a domain.
func ExampleWithServiceName() {
	server := serve(
		"_etcd-client-ssl._tcp.example.com.      60 IN SRV 0 0 2379 m1.example.com.",
		"_etcd-client-ssl-jobs._tcp.example.com. 60 IN SRV 0 0 2379 j1.example.com.",
	)
	defer server.Close()

	resolver := discovery.WithResolver(discovery.NameServer(server.Addr))
	cluster, err := discovery.Lookup(context.Background(), "example.com", resolver, discovery.WithServiceName("jobs"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cluster.URLs())
	// Output: [https://j1.example.com:2379]
}

// What went wrong decides what to do about it.
func ExampleError() {
	server := serve("_etcd-client._tcp.example.com. 60 IN SRV 0 0 2379 m1.example.com.")
	defer server.Close()

	resolver := discovery.WithResolver(discovery.NameServer(server.Addr))
	_, err := discovery.Lookup(context.Background(), "example.com", resolver, discovery.TLSOnly())
	switch {
	case errors.Is(err, discovery.ErrUnavailable):
		fmt.Println("try again later")
	case errors.Is(err, discovery.ErrNotFound):
		fmt.Println("nobody has published this cluster")
	}
	fmt.Println(err)
	var e *discovery.Error
	if errors.As(err, &e) {
		fmt.Println(e.Names)
	}
	// Output:
	// nobody has published this cluster
	// look up _etcd-client-ssl._tcp.example.com.: no such records
	// [_etcd-client-ssl._tcp.example.com.]
}

// A member is added while the program runs.
func ExampleWatch() {
	server := serve("_etcd-client-ssl._tcp.example.com. 60 IN SRV 0 0 2379 m1.example.com.")
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	options := []discovery.Option{
		discovery.WithResolver(discovery.NameServer(server.Addr)),
		discovery.WithInterval(time.Second),
	}
	for cluster, err := range discovery.Watch(ctx, "example.com", options...) {
		if err != nil {
			log.Print(err) // and keep what we have
			continue
		}
		fmt.Println(cluster.URLs())
		if len(cluster.Endpoints) == 2 {
			break
		}
		if err := server.Add("_etcd-client-ssl._tcp.example.com. 60 IN SRV 0 0 2379 m2.example.com."); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// [https://m1.example.com:2379]
	// [https://m1.example.com:2379 https://m2.example.com:2379]
}

// Each member is asked by address, and has to prove the name that it was
// published under.
func ExampleEndpoint_TLSConfig() {
	server := serve(
		"_etcd-client-ssl._tcp.example.com. 60 IN SRV 0 0 2379 m1.example.com.",
		"m1.example.com. 60 IN A 10.0.0.11",
	)
	defer server.Close()
	pool := x509.NewCertPool() // holds the cluster's own CA

	resolver := discovery.WithResolver(discovery.NameServer(server.Addr))
	cluster, err := discovery.Lookup(context.Background(), "example.com", resolver, discovery.WithAddresses())
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range cluster.Endpoints {
		config := e.TLSConfig(&tls.Config{RootCAs: pool})
		fmt.Printf("dial %s port %d, expect %s\n", e.Addrs, e.Port, config.ServerName)
	}
	// Output: dial [10.0.0.11] port 2379, expect m1.example.com
}

// An HTTP client for members whose names only one name server knows.
func ExampleDialer() {
	member := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"health":"true"}`)
	}))
	defer member.Close()
	_, port, _ := net.SplitHostPort(member.Listener.Addr().String())
	server := serve(
		"_etcd-client._tcp.example.com. 60 IN SRV 0 0 "+port+" m1.example.com.",
		"m1.example.com. 60 IN A 127.0.0.1",
	)
	defer server.Close()

	resolver := discovery.WithResolver(discovery.NameServer(server.Addr))
	cluster, err := discovery.Lookup(context.Background(), "example.com", resolver, discovery.PlainOnly())
	if err != nil {
		log.Fatal(err)
	}
	transport := &http.Transport{DialContext: discovery.Dialer(resolver)}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Get(cluster.Endpoints[0].URL() + "/health")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cluster.Endpoints[0].Host, string(body))
	// Output: m1.example.com {"health":"true"}
}
