//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/pleiad-etcd/pleiad/internal/system/process/processtest"
)

func TestMain(m *testing.M) {
	// Scripts wait for members more than they compute.
	if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"pleiad": main})
}

// TestScripts runs testdata/*.txtar: what a person types and sees, a topic a
// file, with the real program and real clusters. Each script has a state
// directory of its own, and whatever it leaves in there is destroyed.
//
// Beside testscript's own commands there are:
//
//	exits CODE CMD...       run a command that exits so
//	members CLUSTER         set $M1, $M2 … to the names of its members, $P1 … to their pids
//	corrupt CLUSTER MEMBER  raise an alarm for a member, or 0, of a cluster without TLS
//	kill9 PID               kill a process, which is gone then
//	ended PID               wait for the end of a process
//	killserver FOLDER       kill the name server of a state directory
//	capture NAME REGEXP     set $NAME to what the group matches in the last output
//	follow REGEXP [CMD...]  type what the group matches in what was printed last, after CMD
//	occupy ADDRESS          listen there, which fails if somebody does
//	vacate                  end all of that
//	hold STEP CMD...        start a command and stop it at a step boundary
//	release                 let it go on, wait for it, print what it said
//	interrupt               send it SIGINT there, and so on
//	page FILE HEADING [FROM=TO...]
//	                        type what a section of a page in docs says
//	typed                   fail if a section of such a page was not typed
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			state := filepath.Join(env.WorkDir, "state")
			env.Setenv("XDG_STATE_HOME", state)
			env.Setenv("STATE", filepath.Join(state, "pleiad"))
			env.Values[heldKey{}] = &held{}
			env.Values[pagesKey{}] = pages{}
			docs, err := filepath.Abs(filepath.Join("..", "..", "docs"))
			if err != nil {
				return err
			}
			env.Setenv("DOCS", docs)
			env.Defer(func() { destroyAll(t, env) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "members": members, "corrupt": corrupt, "kill9": kill9, "ended": ended, "killserver": killServer, "capture": capture, "follow": follow, "occupy": occupy, "vacate": vacate, "hold": hold, "release": letGo, "interrupt": interrupt, "page": page, "typed": typed,
		},
		RequireUniqueNames: true,
	})
}

// destroyAll ends what a script left running.
func destroyAll(t *testing.T, env *testscript.Env) {
	homes, err := filepath.Glob(filepath.Join(env.Getenv("STATE"), "*", "home.json"))
	if err != nil {
		t.Error(err)
	}
	program, err := exec.LookPath("pleiad")
	if err != nil {
		t.Error(err)
	}
	for _, h := range homes {
		name := filepath.Base(filepath.Dir(h))
		cmd := exec.Command(program, "destroy", "--yes", "--cluster", name, "--timeout", "10s")
		cmd.Env = env.Vars
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("destroy what a script left: %v\n%s", err, out)
		}
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE CMD...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s exits %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

func members(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: members CLUSTER")
	}
	ts.Check(ts.Exec("pleiad", "status", "--cluster", args[0], "--output", "json"))
	var status struct {
		Hosts []struct {
			Name string
			PID  int
		}
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &status))
	for i, h := range status.Hosts {
		ts.Setenv(fmt.Sprintf("M%d", i+1), h.Name)
		ts.Setenv(fmt.Sprintf("P%d", i+1), strconv.Itoa(h.PID))
	}
}

// corrupt does what etcd does that finds the data of a member to be another than that of
// the rest (server/etcdserver/corrupt.go).
func corrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: corrupt CLUSTER MEMBER")
	}
	ts.Check(ts.Exec("pleiad", "status", "--cluster", args[0], "--output", "json"))
	var status struct {
		Hosts []struct{ Name, Address, Member string }
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &status))
	for _, h := range status.Hosts {
		id, err := strconv.ParseUint(h.Member, 16, 64)
		ts.Check(err)
		if args[1] == "0" {
			id = 0
		} else if h.Name != args[1] {
			continue
		}
		conn, err := grpc.NewClient(net.JoinHostPort(h.Address, "2379"), grpc.WithTransportCredentials(insecure.NewCredentials()))
		ts.Check(err)
		defer conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err = pb.NewMaintenanceClient(conn).Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: id, Alarm: pb.AlarmType_CORRUPT})
		ts.Check(err)
		return
	}
	ts.Fatalf("cluster %s has no member %s", args[0], args[1])
}

func kill9(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: kill9 PID")
	}
	pid, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(processtest.Kill(pid))
}

func ended(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ended PID")
	}
	pid, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(processtest.Ended(pid))
}

func killServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: killserver FOLDER")
	}
	var state struct{ Process struct{ PID int } }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(filepath.Join(args[0], "dns", "server.json"))), &state))
	kill9(ts, false, []string{strconv.Itoa(state.Process.PID)})
}

func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME REGEXP")
	}
	found := printed(ts, args[1])
	ts.Setenv(args[0], found[1])
}

// printed is what was printed last, as far as a pattern matches it.
func printed(ts *testscript.TestScript, pattern string) []string {
	found := regexp.MustCompile("(?m)" + pattern).FindStringSubmatch(ts.ReadFile("stdout") + ts.ReadFile("stderr"))
	if len(found) != 2 {
		ts.Fatalf("neither stdout nor stderr holds %s with one group", pattern)
	}
	return found
}

// follow does what a remedy says, as a person at a shell does: what is typed is
// what was printed, and not what a script says that it should have been.
func follow(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 {
		ts.Fatalf("usage: follow REGEXP [CMD...]")
	}
	found := printed(ts, args[0])
	line := strings.Join(append(args[1:], found[1]), " ")
	ts.Logf("[typed] %s", line)
	if err := ts.Exec("sh", "-c", line); (err != nil) != neg {
		ts.Fatalf("%s: %v", line, err)
	}
}

func occupy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: occupy ADDRESS")
	}
	l, err := net.Listen("tcp", args[0])
	ts.Check(err)
	h := ts.Value(heldKey{}).(*held)
	h.occupied = append(h.occupied, l)
	ts.Defer(func() { l.Close() })
}

func vacate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, l := range ts.Value(heldKey{}).(*held).occupied {
		ts.Check(processtest.Close(l))
	}
}

// held is the one command of a script that is stopped at a boundary, and what
// else a script holds.
type held struct {
	cmd      *exec.Cmd
	listener net.Listener
	at       net.Conn
	out, err strings.Builder
	passing  chan struct{} // closed when no boundary is served any more
	occupied []net.Listener
}

type heldKey struct{}

func hold(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: hold STEP CMD...")
	}
	h := ts.Value(heldKey{}).(*held)
	socket := filepath.Join(os.TempDir(), fmt.Sprintf("pleiad-%d-%x", os.Getpid(), []byte(filepath.Base(ts.Getenv("WORK"))))) // short: sockets allow 104 bytes
	l, err := net.Listen("unix", socket)
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	program, err := exec.LookPath(args[1])
	ts.Check(err)
	*h = held{cmd: exec.Command(program, args[2:]...), listener: l, occupied: h.occupied}
	h.cmd.Dir, h.cmd.Stdout, h.cmd.Stderr = ts.Getenv("WORK"), &h.out, &h.err
	h.cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+ts.Getenv("XDG_STATE_HOME"), "PLEIAD_BREAKPOINT="+socket)
	ts.Check(h.cmd.Start())
	for {
		conn, err := l.Accept()
		ts.Check(err)
		line, err := bufio.NewReader(conn).ReadString('\n')
		ts.Check(err)
		if strings.HasPrefix(line, args[0]) {
			h.at = conn
			return
		}
		pass(conn)
	}
}

func pass(conn net.Conn) {
	fmt.Fprintln(conn, "go on")
	conn.Close()
}

func letGo(ts *testscript.TestScript, neg bool, _ []string) {
	h := ts.Value(heldKey{}).(*held)
	h.serve()
	pass(h.at)
	h.wait(ts, neg)
}

func interrupt(ts *testscript.TestScript, neg bool, _ []string) {
	h := ts.Value(heldKey{}).(*held)
	ts.Check(h.cmd.Process.Signal(syscall.SIGINT))
	h.serve()
	h.wait(ts, neg)
	h.at.Close()
}

// serve lets the command pass all boundaries that come.
func (h *held) serve() {
	h.passing = make(chan struct{})
	go func() {
		defer close(h.passing)
		for {
			conn, err := h.listener.Accept()
			if err != nil {
				return
			}
			pass(conn)
		}
	}()
}

// wait puts what the command said into the files held.out and held.err, and
// its exit code into $EXIT.
func (h *held) wait(ts *testscript.TestScript, neg bool) {
	err := h.cmd.Wait()
	h.listener.Close()
	<-h.passing
	work := ts.Getenv("WORK")
	ts.Check(os.WriteFile(filepath.Join(work, "held.out"), []byte(h.out.String()), 0o600))
	ts.Check(os.WriteFile(filepath.Join(work, "held.err"), []byte(h.err.String()), 0o600))
	ts.Setenv("EXIT", strconv.Itoa(h.cmd.ProcessState.ExitCode()))
	if (err != nil) != neg {
		ts.Fatalf("it exits %d\n%s%s", h.cmd.ProcessState.ExitCode(), &h.out, &h.err)
	}
}
