// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"metalsuite.io/test/lab"
)

// flooded is what became of a flood.
type flooded struct {
	sent, answered int
	during         time.Duration
}

func (f flooded) perSecond(n int) float64 { return float64(n) / f.during.Seconds() }

// loss is the share of questions that were not answered, in percent.
func (f flooded) loss() float64 { return 100 * float64(f.sent-f.answered) / float64(max(1, f.sent)) }

// pour sends the question again and again from the host's segment link and counts the answers. It sends from one thread of its own, in
// bursts of a millisecond's worth unless the rate is unlimited.
func pour(ctx context.Context, from lab.Host, x lab.Exchange, rate int, during time.Duration) (flooded, error) {
	count, err := newCounter(from, x)
	if err != nil {
		return flooded{}, err
	}
	out, err := openSender(from, x.Protocol)
	if err != nil {
		return flooded{}, errors.Join(err, count.Close())
	}
	type result struct {
		flooded
		err error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		f, err := sendAll(out, x.Question, rate, during)
		done <- result{f, err}
	}()
	r := <-done
	if r.err == nil {
		r.err = settle(ctx)
	}
	stats, errStats := count.Stats()
	if err := errors.Join(r.err, errStats, count.Close(), unix.Close(out)); err != nil {
		return flooded{}, fmt.Errorf("flooding from host %s: %w", from.Name, err)
	}
	r.answered = int(stats.Packets)
	return r.flooded, nil
}

// settle gives the last answers time to arrive.
func settle(ctx context.Context) error { return pause(ctx, 200*time.Millisecond) }

func sendAll(fd int, frame []byte, rate int, during time.Duration) (flooded, error) {
	begin := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var f flooded
	for f.during < during {
		burst := 64
		if rate != unlimited {
			<-tick.C
			// What it could not send in time it makes up for little by little: one long burst would measure the length of queues.
			burst = min(int(float64(rate)*min(during, time.Since(begin)).Seconds())-f.sent, 2*rate/1000)
		}
		for range burst {
			switch _, err := unix.Write(fd, frame); {
			case err == nil:
				f.sent++
			case !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EAGAIN):
				return f, fmt.Errorf("writing a frame: %w", err)
			}
		}
		f.during = time.Since(begin)
	}
	return f, nil
}

// openSender opens a socket that sends past the queues of the link.
func openSender(from lab.Host, protocol int) (fd int, err error) {
	err = from.Do(func() error {
		fd, err = openPacket(lab.Segment, 0)
		if err != nil {
			return err
		}
		return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	})
	if err != nil {
		return 0, fmt.Errorf("opening a socket for protocol %#x on host %s: %w", protocol, from.Name, err)
	}
	return fd, nil
}

// openPacket opens a blocking packet socket on a link; with protocol 0 it hears nothing.
func openPacket(link string, protocol int) (int, error) {
	device, err := net.InterfaceByName(link)
	if err != nil {
		return 0, err
	}
	order := networkOrder(uint16(protocol))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(order))
	if err != nil {
		return 0, fmt.Errorf("opening a packet socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: order, Ifindex: device.Index}); err != nil {
		return 0, errors.Join(fmt.Errorf("binding a packet socket: %w", err), unix.Close(fd))
	}
	return fd, nil
}

func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// newCounter opens a socket that the kernel counts answers on; nobody reads it.
func newCounter(on lab.Host, x lab.Exchange) (count *packet.Conn, err error) {
	filter, err := bpf.Assemble(matching(x.Answer))
	if err != nil {
		return nil, fmt.Errorf("making a filter: %w", err)
	}
	err = on.Do(func() error {
		device, err := net.InterfaceByName(lab.Segment)
		if err != nil {
			return err
		}
		count, err = packet.Listen(device, packet.Raw, x.Protocol, &packet.Config{Filter: filter})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening a counter on host %s: %w", on.Name, err)
	}
	return count, nil
}

// matching is a filter for frames that equal this one in kind and address: the bytes that tell an answer for the address from others.
func matching(answer []byte) []bpf.Instruction {
	offsets := []uint32{12, 20, 28} // ARP: Ethernet type, operation and sender's address
	if len(answer) > 60 {
		offsets = []uint32{12, 20, 54, 62, 66, 70, 74} // NDP: Ethernet type, next header, ICMPv6 type and target
	}
	var program []bpf.Instruction
	for i, o := range offsets {
		size := 4
		switch {
		case o == 12 || len(answer) <= 60 && o == 20:
			size = 2
		case o == 20 || o == 54:
			size = 1
		}
		program = append(program,
			bpf.LoadAbsolute{Off: o, Size: size},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: bigEndian(answer[o : int(o)+size]), SkipFalse: uint8(2*(len(offsets)-i-1) + 1)})
	}
	return append(program, bpf.RetConstant{Val: 128}, bpf.RetConstant{Val: 0})
}

func bigEndian(bytes []byte) (v uint32) {
	for _, b := range bytes {
		v = v<<8 | uint32(b)
	}
	return v
}
