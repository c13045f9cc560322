package render

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pleiad-etcd/pleiad/internal/cluster"
	"github.com/pleiad-etcd/pleiad/internal/converge/verify"
)

// Status is hosts, records, members and health side by side.
type Status struct {
	At      time.Time    `json:"at"`
	Cluster cluster.Name `json:"cluster"`
	Domain  string       `json:"domain"`
	// Phase is bootstrapping, sealed or destroying; empty if there is no
	// marker, "unknown" if it could not be read.
	Phase string `json:"phase,omitempty"`
	// ID is the cluster's, in etcd's form; empty before it is known.
	ID  string `json:"id,omitempty"`
	TLS bool   `json:"tls"`
	// Members is how many the spec wants.
	Members int `json:"members"`
	// Tolerates is how many more voters may fail before the quorum is lost; negative
	// if it is. Absent while no member tells who the members are.
	Tolerates *int `json:"tolerates,omitempty"`
	// Operation is the change in flight as the marker has it; absent if there is none.
	Operation  *cluster.Operation `json:"operation,omitempty"`
	NameServer NameServer         `json:"nameServer"`
	Hosts      []HostStatus       `json:"hosts"`
	// HostsUnknown is why the hosts could not be listed; Hosts are then those
	// that the marker names.
	HostsUnknown string `json:"hostsUnknown,omitempty"`
	// Places are the machines given to the cluster on which no host of it was
	// seen; absent where hosts are made at will.
	Places []cluster.Place `json:"places,omitempty"`
	// Drift is every place where spec and state do not agree.
	Drift []verify.Difference `json:"drift"`
	// Expiry is the certificate that expires first; absent without any.
	Expiry *Expiry `json:"expiry,omitempty"`
	// Up is the command line that mends it.
	Up string `json:"-"`
}

// NameServer is pleiad's own name server as a process.
type NameServer struct {
	cluster.NameServer
	// Unknown is why it could not be looked for; the rest then says nothing.
	Unknown string `json:"unknown,omitempty"`
}

// HostStatus is one host with all that belongs to it.
type HostStatus struct {
	Name cluster.MemberName `json:"name"`
	// Address is empty if the host is gone.
	Address string        `json:"address,omitempty"`
	Ports   cluster.Ports `json:"ports,omitzero"`
	// Records are those that name the host: address, server, client; null if
	// they could not be read.
	Records []string `json:"records"`
	// WrongRecords are those of them that say something else than the host is.
	WrongRecords []string `json:"wrongRecords,omitempty"`
	// Member is the ID of the member, in etcd's form; empty if unknown.
	Member string `json:"member,omitempty"`
	// Role is leader, voter or learner; empty if unknown.
	Role string `json:"role,omitempty"`
	// Health is healthy, unhealthy, down, waiting, unknown or gone.
	Health string `json:"health"`
	// Detail is why, unless it is healthy.
	Detail string `json:"detail,omitempty"`
	PID    int    `json:"pid,omitempty"`
	// Outdated is where the host differs from what the spec wants of new ones, and
	// Move the command line that moves its member to a new one.
	Outdated string    `json:"outdated,omitempty"`
	Move     string    `json:"-"`
	Since    time.Time `json:"since,omitzero"`
	// Restarts is how often the host's init system has started it again.
	Restarts int `json:"restarts,omitempty"`
	// Free is how many bytes are left where its data is.
	Free    *int64 `json:"free,omitempty"`
	Version string `json:"version,omitempty"`
	// Program is the pleiad that it runs as; absent if that is not known.
	Program  *cluster.Program `json:"program,omitempty"`
	DBSize   int64            `json:"dbSize,omitempty"`
	Revision int64            `json:"revision,omitempty"`
	// Certificate is the member's own.
	Certificate *cluster.Certificate `json:"certificate,omitempty"`
}

// Expiry is a certificate and whose it is.
type Expiry struct {
	Of string `json:"of"`
	cluster.Certificate
}

// NewStatus puts a state together for reading. command writes a command line of
// pleiad.
func NewStatus(spec cluster.Spec, s cluster.State, command func(arguments string) string) Status {
	hosts, _ := s.Hosts.Get()
	server := NameServer{Unknown: s.Server.Why().Text}
	server.NameServer, _ = s.Server.Get()
	out := Status{At: s.At, Up: command("up"), Cluster: spec.Cluster, Domain: spec.Domain, TLS: spec.TLS, Members: spec.Members,
		NameServer: server, Hosts: []HostStatus{}, HostsUnknown: s.Hosts.Why().Text, Places: s.Places, Drift: append([]verify.Difference{}, verify.Check(spec, s)...)}
	out.Phase = "unknown"
	var marker cluster.Marker
	if records, known := s.Records.Get(); known {
		marker, _, _ = spec.Marker(records) // what else is in its place is among the differences
		out.Phase = string(marker.Phase)
	}
	if marker.ID != 0 {
		out.ID = marker.ID.String()
	}
	if marker.Op != (cluster.Operation{}) {
		out.Operation = &marker.Op
	}
	out.Tolerates = tolerates(marker, hosts)
	for _, row := range spec.Roster(marker, hosts, s.Records.Or(cluster.Records{})) {
		of := HostStatus{Name: row.Name, Health: "gone"}
		switch {
		case row.Host != nil:
			of = hostStatus(*row.Host)
			of.Move = command("replace " + string(row.Name))
		case !s.Hosts.Known() || len(s.Unseen()) > 0: // it may be there
			of.Health = "unknown"
		}
		if s.Records.Known() {
			of.Records, of.WrongRecords = append([]string{}, row.Published...), row.Wrong
		}
		out.Hosts = append(out.Hosts, of)
	}
	out.Expiry = earliest(s)
	return out
}

// tolerates is how many more voters may fail, by etcd's own list.
func tolerates(m cluster.Marker, hosts []cluster.Host) *int {
	var views []cluster.View
	for _, h := range hosts {
		if v, answered := h.View.Get(); answered {
			views = append(views, v)
		}
	}
	list, known := cluster.Membership(views, m.ID).Get()
	if !known {
		return nil
	}
	voters, alive := 0, 0
	for _, l := range list {
		if l.Learner {
			continue
		}
		voters++
		if slices.ContainsFunc(views, func(v cluster.View) bool { return v.ID == l.ID && v.Cluster == m.ID && v.Serves() }) {
			alive++
		}
	}
	more := alive - cluster.Quorum(voters)
	return &more
}

func hostStatus(h cluster.Host) HostStatus {
	n, inspected := h.Node.Get()
	v, answered := h.View.Get()
	out := HostStatus{Name: h.Name, Address: h.Address.String(), Ports: h.Ports,
		Outdated: h.Outdated, PID: n.Process.PID, Since: began(h, n), Restarts: n.Process.Restarts, Free: n.Free, Certificate: n.Certificate}
	if n.Process.Running && n.Process.Program.Build != "" {
		out.Program = &n.Process.Program
	}
	switch {
	case !inspected:
		out.Health, out.Detail = "unknown", h.Node.Why().Text
	case !n.Process.Running:
		out.Health, out.Detail = "down", n.Process.Exit
	case n.Process.Gate != "":
		out.Health, out.Detail = "waiting", n.Process.Gate
	case !answered && (h.View.Why().Unasked || h.View.Why().Lasting): // it may be well
		out.Health, out.Detail = "unknown", h.View.Why().Text
	case !answered:
		out.Health, out.Detail = "unhealthy", h.View.Why().Text
	case !v.Healthy():
		out.Health, out.Detail = "unhealthy", v.Complaint()
	default:
		out.Health = "healthy"
	}
	if n.Data.Older {
		out.Detail = strings.TrimPrefix(fmt.Sprintf("%s; its data is an older state: it ends at %s, not at %s", out.Detail, n.Data.Ends, n.Data.Reached), "; ")
	}
	if n.Data.Member != 0 {
		out.Member = n.Data.Member.String()
	}
	if answered {
		out.Member, out.Role, out.Version = v.ID.String(), role(v), v.Version
		out.DBSize, out.Revision = v.DBSize, v.Revision
	}
	return out
}

// began is when the member's process did, by this machine's clock.
func began(h cluster.Host, n cluster.Node) time.Time {
	if n.Process.Since.IsZero() {
		return time.Time{}
	}
	return n.Process.Since.Add(-h.Skew)
}

func role(v cluster.View) string {
	switch {
	case v.Learner:
		return "learner"
	case v.Leader == v.ID && v.ID != 0:
		return "leader"
	}
	return "voter"
}

// earliest is the certificate that expires first.
func earliest(s cluster.State) *Expiry {
	var first *Expiry
	consider := func(of string, c *cluster.Certificate) {
		if c != nil && (first == nil || c.NotAfter.Before(first.NotAfter)) {
			first = &Expiry{Of: of, Certificate: *c}
		}
	}
	for _, h := range s.Hosts.Or(nil) {
		consider(string(h.Name), h.Node.Or(cluster.Node{}).Certificate)
	}
	consider("the operator", s.Control.Or(cluster.Control{}).Operator)
	return first
}

// Kind implements Value.
func (Status) Kind() string { return "status" }

func (s Status) text(p *paper) {
	s.heading(p)
	if len(s.Hosts) > 0 {
		p.line("")
		rows := [][]cell{{{"HOST", faint}, {"ADDRESS", faint}, {"RECORDS", faint}, {"MEMBER", faint}, {"HEALTH", faint}, {"RUNS", faint}, {"DATA", faint}, {"RENEWAL", faint}}}
		for _, h := range s.Hosts {
			rows = append(rows, h.cells(s.At))
		}
		p.table(rows, 5)
	}
	for _, h := range s.Hosts {
		if h.Detail != "" && !s.drifts(h) {
			p.line("  %s is %s: %s", h.Name, h.Health, h.Detail)
		}
	}
	for _, h := range s.Hosts {
		if h.Restarts > 0 {
			p.tinted(yellow, "  %s has ended and been started again by its host %s", h.Name, count(h.Restarts, "time"))
		}
	}
	for _, place := range s.Places {
		if place.Unknown != "" {
			p.line("  %s could not be inspected: %s", place, place.Unknown)
		} else {
			p.line("  %s is not a host of this cluster: %s", place, cmp.Or(place.Taken, "free"))
		}
	}
	if len(s.Drift) > 0 {
		p.line("")
		p.tinted(yellow, "drift: %s from what the spec says", count(len(s.Drift), "difference"))
	}
	for _, d := range s.Drift {
		p.line("  %s", d)
	}
	s.outdated(p)
	if s.Expiry != nil {
		p.line("")
		word := ""
		if s.Expiry.Due(s.At) {
			word = ", which is due: " + s.Up
		}
		p.line("certificates: the first to expire is that of %s, on %s; renewal from %s%s", s.Expiry.Of, day(s.Expiry.NotAfter), day(s.Expiry.RenewAt), word)
	}
}

// outdated says which hosts are not as new ones would be. That is no difference that
// up mends: a host stays what it was made as, and only a person decides that its
// member moves.
func (s Status) outdated(p *paper) {
	hosts := slices.DeleteFunc(slices.Clone(s.Hosts), func(h HostStatus) bool { return h.Outdated == "" })
	if len(hosts) == 0 {
		return
	}
	p.line("")
	p.tinted(yellow, "drift: %s not as the spec wants new ones; up changes nothing about that", count(len(hosts), "host"))
	for _, h := range hosts {
		p.line("  %s: %s", h.Name, h.Outdated)
		p.line("    to move its member to a new host: %s", h.Move)
	}
}

// drifts says whether a host's detail is among the differences as well.
func (s Status) drifts(h HostStatus) bool {
	return slices.ContainsFunc(s.Drift, func(d verify.Difference) bool {
		return d.Where == string(h.Name) && strings.Contains(d.What, h.Detail)
	})
}

func (s Status) heading(p *paper) {
	phase := s.Phase
	if phase == "" {
		phase = "does not exist"
	}
	tone := green
	if len(s.Drift) > 0 || s.count("healthy") < s.Members {
		tone = yellow
	}
	p.line("cluster %s on %s: %s, %s", s.Cluster, s.Domain, phase, p.paint(tone, s.tally()))
	if s.ID != "" {
		p.line("cluster ID %s", s.ID)
	}
	if s.Operation != nil {
		p.tinted(yellow, "in flight: %s", underway(*s.Operation))
	}
	switch {
	case s.NameServer.Managed && s.NameServer.Running:
		p.line("name server %s", s.NameServer.Address)
	case s.NameServer.Copy != "" || s.NameServer.Unknown != "":
		p.tinted(yellow, "name server unknown: %s", s.NameServer.Copy+s.NameServer.Unknown)
	case s.NameServer.Managed:
		p.tinted(yellow, "name server is not running: %s", s.Up)
	}
	s.programs(p)
}

// programs says what the members run: a line for each program that one of them does.
func (s Status) programs(p *paper) {
	on := map[string][]string{}
	for _, h := range s.Hosts {
		if h.Program != nil {
			on[h.Program.String()] = append(on[h.Program.String()], string(h.Name))
		}
	}
	for _, program := range slices.Sorted(maps.Keys(on)) {
		if len(on) == 1 {
			p.line("members run %s", program)
		} else {
			p.tinted(yellow, "%s runs %s", strings.Join(on[program], ", "), program)
		}
	}
}

// underway is an operation in words.
func underway(o cluster.Operation) string {
	switch {
	case o.For != "":
		return fmt.Sprintf("%s joins in the place of %s", o.Member, o.For)
	case o.Kind == cluster.Add:
		return fmt.Sprintf("%s joins", o.Member)
	case o.Kind == cluster.Remove:
		return fmt.Sprintf("%s leaves", o.Member)
	}
	return fmt.Sprintf("%s is restarted", o.Member)
}

// tolerance is what the cluster can bear, in words.
func (s Status) tolerance() string {
	switch {
	case s.Tolerates == nil || *s.Tolerates < 0:
		return ""
	case *s.Tolerates == 0:
		return ", tolerates no failure"
	}
	return ", tolerates " + count(*s.Tolerates, "failure")
}

// tally is how many members are healthy, which says nothing of those that could
// not be seen.
func (s Status) tally() string {
	unseen := s.count("unknown")
	seen := len(s.Hosts) - unseen
	for _, p := range s.Places {
		if p.Unknown != "" {
			unseen++
		}
	}
	text := fmt.Sprintf("%d of %s healthy", s.count("healthy"), count(s.Members, "member"))
	if more := s.count("healthy"); more > s.Members { // one joins in the place of another, or leaves
		text = fmt.Sprintf("%s healthy, %d wanted", count(more, "member"), s.Members)
	}
	text += s.tolerance()
	switch {
	case s.HostsUnknown != "" || unseen > 0 && seen == 0:
		return "members unknown"
	case unseen > 0:
		return fmt.Sprintf("%s, %d unknown", text, unseen)
	}
	return text
}

// count is how many hosts have a health.
func (s Status) count(health string) int {
	n := 0
	for _, h := range s.Hosts {
		if h.Health == health {
			n++
		}
	}
	return n
}

func (h HostStatus) cells(at time.Time) []cell {
	tone := yellow
	switch h.Health {
	case "healthy":
		tone = green
	case "down", "gone", "unhealthy":
		tone = red
	}
	member := or(h.Member)
	if h.Role != "" {
		member += " " + h.Role
	}
	address, records, runs, data, renewal := "-", "unknown", "-", "-", "-"
	if h.Records != nil {
		records = h.published()
	}
	if h.Address != "" {
		address = h.Address
	}
	if h.PID != 0 && !h.Since.IsZero() {
		runs = span(max(0, at.Sub(h.Since)))
	}
	if h.DBSize > 0 {
		data = Size(h.DBSize)
	}
	if h.Certificate != nil {
		renewal = day(h.Certificate.RenewAt)
	}
	return []cell{{string(h.Name), plain}, {address, plain}, {records, plain}, {member, plain},
		{h.Health, tone}, {runs, plain}, {data, plain}, {renewal, plain}}
}

// published is which records name the host. What is wrong is told apart, for "all" on
// the row of a member whom clients do not find is worse than nothing.
func (h HostStatus) published() string {
	right := slices.DeleteFunc(slices.Clone(h.Records), func(r string) bool { return slices.Contains(h.WrongRecords, r) })
	switch wrong := "wrong " + strings.Join(h.WrongRecords, "+"); {
	case len(h.WrongRecords) > 0 && len(h.Records) == 3:
		return wrong
	case len(h.WrongRecords) > 0:
		return strings.Join(append(right, wrong), ", ")
	case len(right) == 3:
		return "all"
	}
	return or(strings.Join(right, "+"))
}

// or is a dash where there is nothing to say.
func or(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
