package etcdclient_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pleiad-etcd/pleiad/discovery"
	"github.com/pleiad-etcd/pleiad/discovery/etcdclient"
	"github.com/pleiad-etcd/pleiad/discovery/internal/testdns"
)

func ExampleNew() {
	server, err := testdns.Start(
		"_etcd-client-ssl._tcp.example.com. 60 IN SRV 0 0 2379 m1.example.com.",
		"_etcd-client-ssl._tcp.example.com. 60 IN SRV 0 0 2379 m2.example.com.",
	)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	pool := x509.NewCertPool() // holds the cluster's own CA

	client, err := etcdclient.New(context.Background(), "example.com",
		clientv3.Config{TLS: &tls.Config{RootCAs: pool}},
		discovery.WithResolver(discovery.NameServer(server.Addr))) // else the system's
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(client.Endpoints())
	// Output: [https://m1.example.com:2379 https://m2.example.com:2379]
}
