package sshexec

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/fault"
)

// The kinds of error a caller acts on. Test with errors.Is and errors.As;
// besides them there are [*HostKeyError] and [*ExitError].
var (
	// ErrUnreachable: no connection, or it was lost before the command was
	// sent. Nothing was done.
	ErrUnreachable = errors.New("unreachable")
	// ErrLost: the command was sent and its end is not known. Observe before
	// anything else (rule R12).
	ErrLost = errors.New("lost while the command ran")
	// ErrDenied: the machine does not let this user in with these keys.
	ErrDenied = fault.New(fault.Denied, "login denied")
	// ErrSudo: the user got in but sudo does not make it root without a
	// password. The command was not run.
	ErrSudo = fault.New(fault.Denied, "cannot become root with sudo -n")
	// ErrShell: the login did not run the command, or what came back is not
	// framed as its answer is. What it did is not known.
	ErrShell = fault.New(fault.Denied, "the login does not run the command")
	// ErrSetup: ssh_config, known_hosts or a key file cannot be used as it is.
	ErrSetup = fault.New(fault.Denied, "ssh is not set up")
)

// ExitError says that a command ended, but not well.
type ExitError struct {
	// Status as the shell counts it: 128 and more for a signal.
	Status int
	// Stderr is the end of what the command wrote there, at most 4 KiB.
	Stderr string
}

// ExitCode is the status; os/exec has it so too.
func (e *ExitError) ExitCode() int { return e.Status }

// Error implements error.
func (e *ExitError) Error() string {
	text := fmt.Sprintf("exit status %d", e.Status)
	if said := lastLine(e.Stderr); said != "" {
		text += ": " + said
	}
	return text
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

func setupError(remedy, format string, args ...any) error {
	return fault.WithRemedy(fmt.Errorf("%w: %w", ErrSetup, fmt.Errorf(format, args...)), remedy)
}
