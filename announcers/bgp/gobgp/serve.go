// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	gobgp "github.com/osrg/gobgp/v3/pkg/server"
)

// serveCommand is the word before a path on the standard input of a child: one more GoBGP server is to listen there.
const serveCommand = "serve"

// Serve is the whole of a child process: it reads its orders from in and ends when in ends, which is also when its parent is gone. Everything
// it has to tell goes to report. It ends the process when GoBGP gives up.
func Serve(in io.Reader, report io.Writer) error {
	// The parent decides when a session ends, also when a signal was meant for the whole process group.
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	return obey(in, newOutput(report, time.Now, os.Exit))
}

func obey(in io.Reader, out *output) error {
	orders := bufio.NewScanner(in)
	for n := 0; orders.Scan(); n++ {
		path, ok := strings.CutPrefix(orders.Text(), serveCommand+" ")
		if !ok {
			return fmt.Errorf("reading an order: %w", errOrder)
		}
		s := gobgp.NewBgpServer(gobgp.LoggerOption(serverLogger{output: out, server: n}), gobgp.GrpcListenAddress("unix://"+path))
		go s.Serve() // ends with the process: a server that is not needed any more is stopped and used again
	}
	if err := orders.Err(); err != nil {
		return fmt.Errorf("reading orders: %w", err)
	}
	return nil
}

var errOrder = errors.New("unknown order")
