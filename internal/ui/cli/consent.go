package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pleiad-etcd/pleiad/internal/ui/foreign"
	"github.com/pleiad-etcd/pleiad/internal/ui/render"
)

// destroys is why a person must agree to the end of hosts or data.
const destroys = "it destroys hosts or data"

// consent asks before something is done that a person must agree to, why being the
// reason; nothing endangered, nothing asked. Where nobody can answer it is an error
// that says how to consent.
func consent(ctx context.Context, s *System, g *globals, command, why string, endangered []string) error {
	if len(endangered) == 0 {
		return nil
	}
	act := "run pleiad " + command
	if !s.Interactive || g.format() == render.JSON {
		return &failure{act: act, err: errors.New(why + ", and there is no terminal to ask on"), exit: Usage, hints: []string{"confirm it: " + g.again(command) + " --yes"}}
	}
	for _, e := range endangered {
		fmt.Fprintln(s.Err, foreign.Text(e))
	}
	fmt.Fprint(s.Err, "go on? Type yes: ")
	// The reader outlives a cancelled context: a read from a terminal cannot be
	// taken back. It ends with the process, which ends now.
	answer := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(s.In).ReadString('\n')
		if err != nil {
			line = ""
		}
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(s.Err)
		return context.Cause(ctx)
	case a := <-answer:
		if a == "yes" {
			return nil
		}
		return &failure{act: act, err: errors.New("not confirmed; nothing was done"), exit: Usage}
	}
}
