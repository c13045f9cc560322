package remote

import (
	"errors"
	"fmt"
	"strings"
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
	ErrDenied = errors.New("login denied")
	// ErrSudo: the user got in but sudo does not make it root without a
	// password. The command was not run.
	ErrSudo = errors.New("no root rights by sudo -n")
	// ErrShell: the login did not run the command, or what came back is not
	// framed as its answer is. What it did is not known.
	ErrShell = errors.New("the login does not run the command")
	// ErrSetup: ssh_config, known_hosts or a key file cannot be used as it is.
	ErrSetup = errors.New("ssh is not set up")
)

// ExitError says that a command ended, but not well.
type ExitError struct {
	// Status as the shell counts it: 128 and more for a signal.
	Status int
	// Stderr is the end of what the command wrote there, at most 4 KiB.
	Stderr string
}

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

// Lasting says that only a person can mend what went wrong: asking again will
// bring the same.
func Lasting(err error) bool {
	var key *HostKeyError
	return errors.As(err, &key) || errors.Is(err, ErrDenied) || errors.Is(err, ErrSudo) || errors.Is(err, ErrShell) || errors.Is(err, ErrSetup)
}

// Remedy is what a person can do about an error of this package, a line each;
// commands stand alone. Nil if there is nothing to say.
func Remedy(err error) []string {
	var r interface{ Remedy() []string }
	if errors.As(err, &r) {
		return r.Remedy()
	}
	return nil
}

// remedied is an error with its remedy.
type remedied struct {
	error
	remedy []string
}

func (e *remedied) Unwrap() error    { return e.error }
func (e *remedied) Remedy() []string { return e.remedy }

func withRemedy(err error, lines ...string) error { return &remedied{err, lines} }

func setupError(remedy, format string, args ...any) error {
	return withRemedy(fmt.Errorf("%w: %w", ErrSetup, fmt.Errorf(format, args...)), remedy)
}
