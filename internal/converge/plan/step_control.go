package plan

import (
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
)

// StartNameServer starts pleiad's own name server.
type StartNameServer struct{ Reason }

func (StartNameServer) Verb() string   { return "start name server" }
func (StartNameServer) Object() string { return "of this cluster" }

// Effect implements Step.
func (StartNameServer) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s.Server.Edit(func(n *cluster.NameServer) { n.Running = true })
	return s
}

// CreateAuthority makes this control side: owner, CA, operator certificate.
type CreateAuthority struct {
	Reason
	Owner cluster.Owner
}

func (CreateAuthority) Verb() string   { return "create authority" }
func (CreateAuthority) Object() string { return "of this cluster" }

// Effect implements Step.
func (c CreateAuthority) Effect(spec cluster.Spec, s cluster.State) cluster.State {
	s.Control.Edit(func(made *cluster.Control) {
		made.Owner = c.Owner
		if spec.TLS {
			made.CA, made.Operator = "new", issued(s.At)
		}
	})
	return s
}

// RenewOperator issues a new certificate to pleiad itself.
type RenewOperator struct{ Reason }

func (RenewOperator) Verb() string   { return "renew certificate" }
func (RenewOperator) Object() string { return "of the operator" }

// Effect implements Step.
func (RenewOperator) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s.Control.Edit(func(c *cluster.Control) { c.Operator = issued(s.At) })
	return s
}

// RemoveNameServer stops pleiad's own name server and deletes its zone, if
// there is no marker in it once it has stopped.
type RemoveNameServer struct {
	Reason
	Marker cluster.Key
}

func (RemoveNameServer) Verb() string   { return "remove name server" }
func (RemoveNameServer) Object() string { return "of this cluster" }

// Effect implements Step.
func (RemoveNameServer) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s.Server = cluster.Known(cluster.NameServer{Managed: true})
	return s
}

// Forget deletes the CA and all else this control side stores of the cluster,
// if there still is no marker.
type Forget struct {
	Reason
	Marker cluster.Key
}

func (Forget) Verb() string   { return "forget cluster" }
func (Forget) Object() string { return "on this machine" }

// Effect implements Step.
func (Forget) Effect(_ cluster.Spec, s cluster.State) cluster.State {
	s.Control = cluster.Known(cluster.Control{})
	return s
}

// issued is a certificate as it is issued at a time; see package pki.
func issued(at time.Time) *cluster.Certificate {
	return &cluster.Certificate{NotBefore: at, NotAfter: at.AddDate(1, 0, 0), RenewAt: at.AddDate(0, 8, 0)}
}
