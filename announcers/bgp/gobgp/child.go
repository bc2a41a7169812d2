// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/go-logr/logr"

	"metalsuite.io/announcers/bgp"
)

// childEnvironment keeps a child small, unless the administrator has chosen with GOGC: it has little to do, and nothing to do fast. 10,000
// routes need 25 MiB this way. GOMEMLIMIT is not passed on: that of the speaker is not that of a child, which sets its own.
func childEnvironment() []string {
	return []string{"GOMAXPROCS=2", "GOGC=" + cmp.Or(os.Getenv("GOGC"), "30"), "GOTRACEBACK=single"}
}

// child is a process with one or more GoBGP servers.
type child struct {
	run     *run
	number  int
	log     logr.Logger
	command *exec.Cmd
	orders  io.WriteCloser
	// alive ends with the process; its cause says in words why. done is closed after that, when the process is reaped.
	alive  context.Context
	expire context.CancelCauseFunc
	done   chan struct{}
	// killed is whether the engine ended the process itself.
	killed atomic.Bool
	// sessions are those that have a place; run.mu guards it.
	sessions int

	// starting lets one server start at a time: GoBGP has variables that all its servers write then.
	starting sync.Mutex

	mu sync.Mutex
	// servers are all that were made, free those that are stopped.
	servers []*server
	free    []*server
	hearers map[int]*clues
	last    epitaph
}

// startChild starts a process. The caller holds run.mu.
func startChild(r *run, number int) (*child, error) {
	c := &child{run: r, number: number, log: r.options.Log, done: make(chan struct{}), hearers: map[int]*clues{}}
	c.alive, c.expire = context.WithCancelCause(context.Background())
	c.command = exec.CommandContext(r.ctx, r.options.Executable, r.options.Args...)
	c.command.Env, c.command.Dir = childEnvironment(), "/"
	c.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	orders, err := c.command.StdinPipe()
	if err != nil {
		return nil, lost("making a pipe to a BGP process", err)
	}
	report, err := c.command.StderrPipe()
	if err != nil {
		return nil, lost("making a pipe from a BGP process", err)
	}
	c.orders = orders
	if err := startPowerless(c.command); err != nil {
		return nil, lost("starting a BGP process", err)
	}
	r.tasks.Go(func() { c.attend(report) })
	return c, nil
}

// attend reads what the process has to tell, and reaps it.
func (c *child) attend(report io.Reader) {
	defer close(c.done)
	c.read(report)
	err := c.command.Wait()
	c.mu.Lock()
	why, servers := c.last.end(err, c.killed.Load() || c.run.ctx.Err() != nil), c.servers
	c.free, c.servers = nil, nil
	c.mu.Unlock()
	c.expire(why)
	for _, s := range servers {
		s.forget()
	}
}

func (c *child) read(report io.Reader) {
	lines := bufio.NewReaderSize(report, 16<<10)
	for {
		text, err := lines.ReadSlice('\n')
		if len(text) > 0 {
			c.hear(text)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (c *child) hear(text []byte) {
	l, ok := decode(text)
	c.mu.Lock()
	var hearer *clues
	if ok {
		hearer = c.hearers[l.Server]
	}
	switch {
	case !ok || l.Level == levelFatal:
		c.last.add(l, string(text))
	case l.Message == textPassed && hearer != nil:
		c.last.peer, c.last.message = hearer.settings.Name, l.Fields["Data"]
	}
	c.mu.Unlock()
	peer := ""
	if hearer != nil {
		peer = hearer.settings.Name
		hearer.hear(l)
	}
	switch {
	case !ok || l.Level == levelDebug:
	case l.Server == wholeProcess:
		c.log.Info("BGP process reports a problem; all its sessions go on", "reason", l.text())
	default:
		c.log.V(1).Info("GoBGP log line", "peer", peer, "reason", l.text())
	}
}

func (c *child) over() bool { return c.alive.Err() != nil }

// kill ends the process at once; its peers hear nothing.
func (c *child) kill() {
	c.killed.Store(true)
	_ = c.command.Process.Kill() // fails only when it has ended
}

// server returns a GoBGP server that answers and has not been started.
func (c *child) server(ctx context.Context) (*server, error) {
	c.mu.Lock()
	if n := len(c.free); n > 0 {
		s := c.free[n-1]
		c.free = c.free[:n-1]
		c.mu.Unlock()
		return s, nil
	}
	s, err := c.order()
	c.mu.Unlock()
	if err == nil {
		err = s.answer(ctx)
	}
	if err != nil && c.over() {
		return nil, context.Cause(c.alive)
	}
	if err != nil {
		return nil, lost("waiting for GoBGP", err)
	}
	return s, nil
}

// order makes one more server. The caller holds mu.
func (c *child) order() (*server, error) {
	n := len(c.servers)
	path := c.run.socket(c.number, n)
	if _, err := fmt.Fprintf(c.orders, "%s %s\n", serveCommand, path); err != nil {
		return nil, err
	}
	s, err := newServer(c, n, path)
	if err != nil {
		return nil, err
	}
	c.servers = append(c.servers, s)
	return s, nil
}

// dial has the relay of a server connect.
func (c *child) dial(server, attempt int, w way) error {
	packed, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return c.tell(dialCommand, server, strconv.Itoa(attempt)+" "+string(packed))
}

// pass lets the session of a server become established, part gives its router a bounded time for taking what it was sent, hangUp ends its
// connection.
func (c *child) pass(server int) error { return c.tell(passCommand, server, "") }

func (c *child) part(server int) error { return c.tell(partCommand, server, "") }

func (c *child) hangUp(server int) error { return c.tell(hangUpCommand, server, "") }

// tell writes an order about a server.
func (c *child) tell(word string, server int, rest string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := fmt.Fprintf(c.orders, "%s %d %s\n", word, server, rest)
	return err
}

// giveBack takes a stopped server for later.
func (c *child) giveBack(s *server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over() {
		return
	}
	c.free = append(c.free, s)
}

// listen lets clues hear what server n has to tell; nil ends that.
func (c *child) listen(n int, to *clues) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if to == nil {
		delete(c.hearers, n)
		return
	}
	c.hearers[n] = to
}

// epitaph keeps what is worth telling of a process that ended by itself.
type epitaph struct {
	cause, place string
	tail         []string
	// peer is whose OPEN message GoBGP read last, message is that in hexadecimal: the one message that it reads as a peer wrote it.
	peer, message string
}

// longestMessageText bounds what is told of a message, in characters.
const longestMessageText = 600

// tailLines bounds what is kept of a dying process.
const tailLines = 20

// add takes a line that is a last word, or not a line of ours at all: a panic with its stack.
func (e *epitaph) add(l line, text string) {
	text = strings.TrimSpace(text)
	switch {
	case l.Level == levelFatal:
		e.cause = "GoBGP exited with a fatal error: " + l.text()
	case strings.HasPrefix(text, "panic: "), strings.HasPrefix(text, "fatal error: "):
		if e.cause == "" {
			e.cause = strings.TrimSuffix(text, " [recovered]")
		}
	case e.cause != "" && e.place == "" && strings.Contains(text, ".go:") && !strings.Contains(text, "runtime/"):
		e.place = placeOf(text)
	}
	if e.tail = append(e.tail, text); len(e.tail) > tailLines {
		e.tail = e.tail[1:]
	}
}

// placeOf shortens "/path/to/pkg/server/fsm.go:917 +0x15a" to "server/fsm.go:917".
func placeOf(text string) string {
	text, _, _ = strings.Cut(text, " ")
	parts := strings.Split(text, "/")
	return strings.Join(parts[max(0, len(parts)-2):], "/")
}

// words says how the process ended.
func (e *epitaph) words(err error) string {
	status := "exit status 0"
	if err != nil {
		status = err.Error()
	}
	out := "the BGP process ended (" + status + ")"
	switch {
	case e.cause != "" && e.place != "":
		out += ": " + e.cause + " at " + e.place
	case e.cause != "":
		out += ": " + e.cause
	case len(e.tail) > 0:
		out += ": " + e.tail[len(e.tail)-1]
	}
	if e.cause != "" && e.peer != "" && !e.outOfMemory() {
		out += "; the last OPEN message was that of peer " + e.peer + ": " + e.message[:min(len(e.message), longestMessageText)]
	}
	return out
}

// outOfMemory says whether the process ended because it could get no more memory, in the words of the Go runtime.
func (e *epitaph) outOfMemory() bool {
	return strings.HasPrefix(e.cause, "fatal error: ") && (strings.Contains(e.cause, "out of memory") || strings.Contains(e.cause, "cannot allocate memory"))
}

// end returns how the process ended as an error. One that was killed, and not by the engine, was most likely killed by the kernel for memory.
func (e *epitaph) end(err error, byEngine bool) error {
	var status *exec.ExitError
	killed := errors.As(err, &status) && status.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	if killed && !byEngine || e.outOfMemory() {
		return fmt.Errorf("%w: %s", bgp.ErrOutOfMemory, e.words(err))
	}
	return errors.New(e.words(err))
}
