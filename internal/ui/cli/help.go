package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

// helpJSON documents --output json. A test compares it with what is printed.
func helpJSON() *cobra.Command {
	var b strings.Builder
	fmt.Fprintf(&b, `With --output json each command prints, on stdout, one JSON object per line. Each
begins with "version" (%d) and "kind". Within a version, kinds and fields are
added, never changed or removed: ignore those you do not know. Times are RFC
3339, durations nanoseconds, sizes bytes. An error is one object of kind "error"
on stderr, beside the exit code (see pleiad help exit-codes).

`, render.JSONVersion)
	for _, k := range kinds() {
		fmt.Fprintf(&b, "  %-12s %s\n", k.name, k.from)
		fmt.Fprintf(&b, "  %12s %s\n", "", strings.Join(k.fields, ", "))
	}
	return &cobra.Command{Use: "json", Short: "What --output json prints", Long: strings.TrimRight(b.String(), "\n")}
}

// kind is a kind of JSON object: which command prints it, and its fields.
type kind struct {
	name, from string
	fields     []string
}

func kinds() []kind {
	event := []string{"at", "step {verb, object, why, rules, quorum}", "detail", "error", "took"}
	return []kind{
		{"plan", "plan, and up before it begins", []string{"cluster", "domain", "batches [{together, steps}]", "launches {region, instances, types, image, subnets, volumeGiB, records}", "refusals [{rule, what, evidence, remedy, unknown}]"}},
		{"observed", "up, destroy: hosts, records and members were read", []string{"at"}},
		{"planned", "up, destroy: the next steps", []string{"at", "steps", "together"}},
		{"started", "up, destroy: a step begins", event},
		{"waiting", "up, destroy: what the step waits for", event},
		{"done", "up, destroy: a step has succeeded", event},
		{"failed", "up, destroy: a step has failed; it may be tried again", event},
		{"refused", "up, destroy: a step was not taken", event},
		{"converged", "up, destroy: nothing is left to do", []string{"at"}},
		{"outcome", "up, destroy: the last line", []string{"command", "cluster", "domain", "members", "reached", "steps", "took", "refusals", "differences [{where, what}]", "left", "health", "note", "next"}},
		{"health", "health", []string{"domain", "verdict (healthy, degraded, unhealthy, unknown)", "members [{id, name, url, healthy, unknown, detail}]", "direct", "problems"}},
		{"status", "status", []string{"at", "cluster", "domain", "phase", "id", "tls", "members", "tolerates", "operation {kind, member, for}", "nameServer", "hosts", "hostsUnknown", "places [{address, member, taken, unknown, remedy, lasting}]", "drift [{where, what}]", "expiry {of, notBefore, notAfter, renewAt}"}},
		{"endpoints", "discover", []string{"domain", "service", "endpoints [{url, host, port, tls, addresses, error}]"}},
		{"environment", "env", []string{"variables [{name, value}]; an empty value is to be unset"}},
		{"certificate", "certificate", []string{"cluster", "name", "user", "notAfter", "files {ca, cert, key}", "settings [{client, lines}]"}},
		{"findings", "doctor", []string{"worst (ok, warning, fault)", "findings [{check, grade, found, remedy, host}]"}},
		{"version", "version", []string{"release", "revision", "etcd", "go", "platform"}},
		{"error", "any command, on stderr", []string{"error", "detail", "hints", "exit", "name"}},
	}
}
