// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"metalsuite.io/test/lab"
)

// echoCommand is the first argument of the process that only answers.
const echoCommand = "echo"

// echo starts a process on the stranger's host that answers for an address and does nothing else: what this machine can do at most. Stop
// ends it.
func (b bench) echo(ctx context.Context, address netip.Addr, mac net.HardwareAddr) (stop func() error, err error) {
	x, err := b.Lab.Client().Exchange(lab.Segment, address, lab.Question{}, mac)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the own program: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := b.Lab.Stranger().Command(ctx, self, echoCommand, strconv.Itoa(x.Protocol), hex.EncodeToString(x.Question), hex.EncodeToString(x.Answer))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("starting the empty responder: %w", err)
	}
	stop = func() error {
		cancel()
		_ = cmd.Wait() // it was killed
		return nil
	}
	macs, err := b.Lab.Client().WhoHas(ctx, lab.Segment, address, listening)
	if err == nil && len(macs) != 1 {
		err = fmt.Errorf("the empty responder does not answer: %v", macs)
	}
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// runEcho answers a question, whichever way it came to this host, with always the same frame.
func runEcho(arguments []string) error {
	if len(arguments) != 3 {
		return errors.New("the empty responder wants a protocol and two frames")
	}
	protocol, err := strconv.Atoi(arguments[0])
	question, errQuestion := hex.DecodeString(arguments[1])
	answer, errAnswer := hex.DecodeString(arguments[2])
	if err := errors.Join(err, errQuestion, errAnswer); err != nil {
		return fmt.Errorf("reading the empty responder's arguments: %w", err)
	}
	fd, err := openPacket(lab.Segment, protocol)
	if err != nil {
		return err
	}
	// What follows the header of Ethernet, up to where NDP's destination and checksum differ by the way of the question.
	from, to := 14, len(question)
	if len(question) > 60 {
		from, to = 58, 78 // NDP: from behind the checksum to the end of the target
	}
	buffer := make([]byte, 2048)
	for {
		n, err := unix.Read(fd, buffer)
		if err != nil {
			return fmt.Errorf("reading a frame: %w", err)
		}
		if n < to || !bytes.Equal(buffer[from:to], question[from:to]) {
			continue
		}
		if _, err := unix.Write(fd, answer); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("writing a frame: %w", err)
		}
	}
}
