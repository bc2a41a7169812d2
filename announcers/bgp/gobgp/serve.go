// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	gobgp "github.com/osrg/gobgp/v3/pkg/server"
)

// Words at the beginning of a line on the standard input of a child.
const (
	// serveCommand has a path: one more GoBGP server is to listen there. Servers are numbered from 0.
	serveCommand = "serve"
	// dialCommand has the numbers of a server and an attempt and a way as JSON: the relay of the server is to connect.
	dialCommand = "dial"
	// passCommand, partCommand and hangUpCommand have the number of a server: its session may become established; it is to end; the attempt is
	// over.
	passCommand   = "pass"
	partCommand   = "part"
	hangUpCommand = "hangup"
)

// Serve is the whole of a child process: it reads its orders from in and ends when in ends, which is also when its parent is gone. Everything
// it has to tell goes to report. It ends the process when GoBGP gives up.
func Serve(in io.Reader, report io.Writer) error {
	// The parent decides when a session ends, also when a signal was meant for the whole process group.
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	out := newOutput(report, time.Now, os.Exit)
	most := memoryLimit(containerLimit())
	debug.SetMemoryLimit(int64(most / 2)) // what Go does not return at once has room beside it
	if err := limitMemory(most); err != nil {
		out.write(line{Server: wholeProcess, Level: levelWarning, Message: textUnlimited, Fields: map[string]string{"Error": err.Error()}}, true)
	}
	return obey(in, out)
}

func obey(in io.Reader, out *output) error {
	orders := bufio.NewScanner(in)
	c := servers{out: out}
	for orders.Scan() {
		if err := c.obey(orders.Text()); err != nil {
			return fmt.Errorf("reading a command: %w", err)
		}
	}
	if err := orders.Err(); err != nil {
		return fmt.Errorf("reading commands: %w", err)
	}
	return nil
}

// servers are the relays of the GoBGP servers in a child, by the servers' numbers.
type servers struct {
	out    *output
	relays []*relay
}

func (c *servers) obey(order string) error {
	command, rest, _ := strings.Cut(order, " ")
	if command == serveCommand {
		n := len(c.relays)
		c.relays = append(c.relays, &relay{out: c.out, server: n, times: usualTimes})
		s := gobgp.NewBgpServer(gobgp.LoggerOption(serverLogger{output: c.out, server: n}), gobgp.GrpcListenAddress("unix://"+rest))
		go s.Serve() // ends with the process: a server that is not needed any more is stopped and used again
		return nil
	}
	number, rest, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n >= len(c.relays) {
		return errOrder
	}
	switch command {
	case dialCommand:
		return c.dial(c.relays[n], rest)
	case passCommand:
		c.relays[n].pass()
	case partCommand:
		c.relays[n].part()
	case hangUpCommand:
		c.relays[n].hangUp()
	default:
		return errOrder
	}
	return nil
}

func (c *servers) dial(r *relay, rest string) error {
	number, packed, _ := strings.Cut(rest, " ")
	attempt, err := strconv.Atoi(number)
	if err != nil {
		return errOrder
	}
	var w way
	if err := json.Unmarshal([]byte(packed), &w); err != nil {
		return fmt.Errorf("reading a route: %w", err)
	}
	r.begin(attempt, w)
	return nil
}

var errOrder = errors.New("unknown command")
