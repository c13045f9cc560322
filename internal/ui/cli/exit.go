package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Exit is an exit code of pleiad. Codes are a promise to scripts: they are
// added, never changed.
type Exit int

// The exit codes; see exits for what they mean.
const (
	OK          Exit = 0
	Failed      Exit = 1
	Pending     Exit = 2
	Usage       Exit = 3
	BadSpec     Exit = 4
	Refused     Exit = 5
	NoCluster   Exit = 6
	Busy        Exit = 7
	Denied      Exit = 8
	Occupied    Exit = 9
	Unreachable Exit = 10
	BadState    Exit = 11
	Unseen      Exit = 12
	Interrupted Exit = 130
)

// exit is an exit code with its name and meaning.
type exit struct {
	code    Exit
	name    string
	meaning string
}

func exits() []exit {
	return []exit{
		{OK, "ok", "success; for plan: there is nothing to do"},
		{Failed, "failed", "the command failed; for health: the cluster is not healthy"},
		{Pending, "pending", "plan: changes are pending"},
		{Usage, "usage", "the command line is wrong, or a confirmation is needed and there is no terminal"},
		{BadSpec, "bad-spec", "the spec, from a file or from flags, is wrong or does not fit the cluster"},
		{Refused, "refused", "a step is needed, but a rule forbids it; see docs/planning.md"},
		{NoCluster, "no-cluster", "no such cluster is known here, or no such member"},
		{Busy, "busy", "another command is at work on the cluster"},
		{Denied, "denied", "the name server or etcd refused: credentials or rights"},
		{Occupied, "occupied", "an address, a name or a machine is in use by something else"},
		{Unreachable, "unreachable", "the name server does not answer"},
		{BadState, "bad-state", "the state directory cannot be used, or the disk is full"},
		{Unseen, "unseen", "up: the cluster is as the spec says, but this machine does not find it in DNS"},
		{Interrupted, "interrupted", "interrupted by a signal; run up or destroy again to continue"},
	}
}

// String is the code's name.
func (e Exit) String() string {
	for _, x := range exits() {
		if x.code == e {
			return x.name
		}
	}
	return fmt.Sprintf("exit %d", int(e))
}

func helpExitCodes() *cobra.Command {
	var b strings.Builder
	b.WriteString("The exit codes of pleiad, with their names as JSON has them:\n\n")
	for _, x := range exits() {
		fmt.Fprintf(&b, "  %3d  %-12s %s\n", int(x.code), x.name, x.meaning)
	}
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: strings.TrimRight(b.String(), "\n")}
}
