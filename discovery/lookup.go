package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// lookupTimeout bounds a lookup without a deadline, if resolv.conf does not give it more
// time.
const lookupTimeout = 30 * time.Second

// Lookup asks DNS for the client endpoints of the etcd cluster of a domain. It
// reads what etcdctl --discovery-srv reads:
//
//	_etcd-client-ssl[-NAME]._tcp.DOMAIN   members that serve TLS
//	_etcd-client[-NAME]._tcp.DOMAIN       members that do not
//
// Which of them it believes, without [TLSOnly] and [PlainOnly]:
//
//	-ssl records    plain records    result
//	exist           none, unknown    the TLS endpoints
//	exist           exist            ErrMixed
//	none            exist            the plain endpoints
//	none            none             ErrNotFound
//	none            unknown          ErrUnavailable
//	unknown         anything         ErrUnavailable
//	unusable        anything         ErrInvalidRecord
//
// The domain may be written with a trailing dot and in any case. Lookup returns
// when ctx ends. Where ctx has no deadline it returns after 30 seconds at the
// latest, or after as long as resolv.conf(5) may have a resolver try all name
// servers, if that is longer: one that answers last is still heard. Its errors are
// of type *[Error].
func Lookup(ctx context.Context, domain string, opts ...Option) (Cluster, error) {
	return lookup(ctx, "client", domain, opts)
}

// LookupPeers is [Lookup] for the peer endpoints, _etcd-server-ssl and
// _etcd-server: where members speak to each other, and where an etcd that
// starts with --discovery-srv looks. They do not serve the client API, only
// /members and /version to those who have a peer's certificate.
func LookupPeers(ctx context.Context, domain string, opts ...Option) (Cluster, error) {
	return lookup(ctx, "server", domain, opts)
}

func lookup(ctx context.Context, role, domain string, opts []Option) (Cluster, error) {
	q, err := newQuestion(role, domain, opts)
	if err != nil {
		return Cluster{}, err
	}
	found, err := q.lookup(ctx)
	return found.Cluster, err
}

// found is a cluster, and what is unknown of the addresses of each endpoint, if
// they were asked for.
type found struct {
	Cluster
	unknown []families
}

func (q question) lookup(ctx context.Context) (found, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	resolver, release := interruptible(ctx, q.resolver)
	defer release()
	q.resolver = resolver
	a, err := choose(q.ask(ctx))
	if err != nil {
		return found{}, err
	}
	out := found{Cluster: Cluster{Domain: q.domain, Service: a.name, Endpoints: a.endpoints}}
	if q.addresses {
		out.unknown = q.addAddresses(ctx, a.endpoints)
	}
	return out, nil
}

// answer is what DNS said about one service: endpoints, or an *Error.
type answer struct {
	service
	endpoints []Endpoint
	err       error
}

// ask asks for all services at the same time.
func (q question) ask(ctx context.Context) []answer {
	services := q.services()
	answers := make([]answer, len(services))
	var wg sync.WaitGroup
	for i, s := range services {
		wg.Go(func() {
			_, records, err := q.resolver.LookupSRV(ctx, "", "", s.name)
			if err != nil && ctx.Err() != nil {
				records, err = nil, ctx.Err() // what net says then is our own doing
			}
			answers[i] = readAnswer(s, records, err)
		})
	}
	wg.Wait()
	return answers
}

// choose is the decision that the table at Lookup shows. The answers are for
// one name, or for the TLS name and then the plain one.
func choose(answers []answer) (answer, error) {
	secure, plain := answers[0], answers[len(answers)-1]
	both := []string{secure.name, plain.name}
	switch {
	case len(answers) == 1:
		return secure, secure.err
	case secure.err == nil && (plain.err == nil || errors.Is(plain.err, ErrInvalidRecord)):
		return answer{}, &Error{Kind: ErrMixed, Names: both}
	case secure.err == nil || !errors.Is(secure.err, ErrNotFound):
		// Not asked again as plain if TLS is unknown or broken: who can make
		// one question fail must not get credentials in the clear.
		return secure, secure.err
	case errors.Is(plain.err, ErrNotFound):
		return answer{}, &Error{Kind: ErrNotFound, Names: both, Err: plain.err.(*Error).Err}
	}
	return plain, plain.err
}

// readAnswer turns what net.Resolver.LookupSRV returned into an answer.
func readAnswer(s service, records []*net.SRV, err error) answer {
	a := answer{service: s}
	fail := func(kind, cause error) answer {
		a.endpoints, a.err = nil, &Error{Kind: kind, Names: []string{s.name}, Err: cause}
		return a
	}
	switch {
	case err != nil && records != nil:
		// LookupSRV has dropped records whose targets are no names. The rest
		// would be a smaller cluster than the one that was published.
		return fail(ErrInvalidRecord, errors.New("a target is not a host name, perhaps an IP address"))
	case err != nil || len(records) == 0:
		return fail(kindOf(err), err)
	case len(records) == 1 && records[0].Target == ".":
		// RFC 2782: "decidedly not available at this domain".
		return fail(ErrNotFound, errors.New(`the target is ".", which says that there is no such service`))
	}
	for _, r := range records {
		host, err := canonicalHost(r.Target)
		if err != nil {
			return fail(ErrInvalidRecord, fmt.Errorf("target %q: %w", r.Target, err))
		}
		if r.Port == 0 {
			return fail(ErrInvalidRecord, fmt.Errorf("target %q: port 0", r.Target))
		}
		a.endpoints = append(a.endpoints, Endpoint{Host: host, Port: r.Port, TLS: s.tls})
	}
	slices.SortFunc(a.endpoints, Endpoint.compare)
	a.endpoints = slices.CompactFunc(a.endpoints, Endpoint.same)
	return a
}

// kindOf tells absent from unknown. Whatever is not a name server's own word
// that there is nothing is unknown.
func kindOf(err error) error {
	var dns *net.DNSError
	if err == nil || errors.As(err, &dns) && dns.IsNotFound {
		return ErrNotFound
	}
	return ErrUnavailable
}
