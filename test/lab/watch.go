// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sync/errgroup"
)

// Change is a moment in which another hardware address began to answer for the watched one.
type Change struct {
	// At is when the first answer came.
	At time.Time
	// From is empty for the first answer of all.
	From, To string
	// Silence is how long nobody had answered before; 0 for the first answer of all.
	Silence time.Duration
}

// Claim is what a host said of the watched address without being asked.
type Claim struct {
	At time.Time
	// MAC is the hardware address that it gave.
	MAC string
}

// Report is what a watch has seen so far.
type Report struct {
	// Answers counts replies to our questions.
	Answers int
	// Claims are what hosts announced by themselves, in the order of time: gratuitous ARP, unsolicited neighbour advertisements.
	Claims []Claim
	// Changes in the order of time; the first is the first answer.
	Changes []Change
	// LongestSilence between two answers; the silence that goes on now is not in it.
	LongestSilence time.Duration
	// Last is when the last answer came.
	Last time.Time
}

// Owner is the hardware address that answered last, "" if none ever did.
func (r Report) Owner() string {
	if len(r.Changes) == 0 {
		return ""
	}
	return r.Changes[len(r.Changes)-1].To
}

// Owners lists each hardware address that ever answered, once, in the order of its first answer.
func (r Report) Owners() []string {
	var owners []string
	for _, change := range r.Changes {
		if !slices.Contains(owners, change.To) {
			owners = append(owners, change.To)
		}
	}
	return owners
}

// Heard lists each hardware address that ever answered or claimed unasked, once, sorted.
func (r Report) Heard() []string {
	all := r.Owners()
	for _, claim := range r.Claims {
		all = append(all, claim.MAC)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Claimed returns when the hardware address claimed the watched one without being asked.
func (r Report) Claimed(mac string) []time.Time {
	var at []time.Time
	for _, claim := range r.Claims {
		if claim.MAC == mac {
			at = append(at, claim.At)
		}
	}
	return at
}

// seen adds one answer.
func (r *Report) seen(mac string, at time.Time) {
	var silence time.Duration
	if !r.Last.IsZero() {
		silence = at.Sub(r.Last)
	}
	if mac != r.Owner() {
		r.Changes = append(r.Changes, Change{At: at, From: r.Owner(), To: mac, Silence: silence})
	}
	r.Answers++
	r.LongestSilence = max(r.LongestSilence, silence)
	r.Last = at
}

// note adds what was heard of the watched address.
func (r *Report) note(h heard, at time.Time) {
	if h.asked {
		r.seen(h.mac, at)
		return
	}
	r.Claims = append(r.Claims, Claim{At: at, MAC: h.mac})
}

// Watch asks again and again who has an address. Stop ends its goroutines.
type Watch struct {
	conn      *packet.Conn
	neighbour neighbour
	cancel    context.CancelFunc
	group     *errgroup.Group

	mu     sync.Mutex
	report Report
}

// Watch asks on the link, once per interval, who has the address, until Stop is called or ctx ends: by ARP for an IPv4 address, by NDP for an
// IPv6 address.
func (h Host) Watch(ctx context.Context, link string, address netip.Addr, interval time.Duration) (*Watch, error) {
	return h.ask(ctx, link, address, Question{}, interval)
}

// Ask asks one kind of question every 10 ms for a while and returns what was heard.
func (h Host) Ask(ctx context.Context, link string, address netip.Addr, question Question, during time.Duration) (Report, error) {
	ctx, cancel := context.WithTimeout(ctx, during)
	defer cancel()
	watch, err := h.ask(ctx, link, address, question, 10*time.Millisecond)
	if err != nil {
		return Report{}, err
	}
	<-ctx.Done()
	return watch.Stop()
}

// WhoHas asks for the address for a while and lists each hardware address that answered.
func (h Host) WhoHas(ctx context.Context, link string, address netip.Addr, during time.Duration) ([]string, error) {
	report, err := h.Ask(ctx, link, address, Question{}, during)
	return report.Owners(), err
}

func (h Host) ask(ctx context.Context, link string, address netip.Addr, question Question, interval time.Duration) (*Watch, error) {
	conn, neighbour, err := h.neighbour(link, address)
	if err != nil {
		return nil, err
	}
	frame, err := neighbour.question(question)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	watch := &Watch{conn: conn, neighbour: neighbour, cancel: cancel}
	watch.group, ctx = errgroup.WithContext(ctx)
	watch.group.Go(func() error { return watch.ask(ctx, frame, interval) })
	watch.group.Go(func() error { return watch.listen(ctx) })
	return watch, nil
}

// neighbour opens a socket on the link for the family of an address.
func (h Host) neighbour(link string, address netip.Addr) (conn *packet.Conn, n neighbour, err error) {
	err = h.Do(func() error {
		device, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		own, err := device.Addrs()
		if err != nil {
			return err
		}
		if n, err = newNeighbour(device, own, address); err != nil {
			return err
		}
		conn, err = packet.Listen(device, packet.Raw, n.protocol(), nil)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("asking for %s on %s of host %s: %w", address, link, h.Name, err)
	}
	return conn, n, nil
}

// ask ends the listener with it, by closing the socket.
func (w *Watch) ask(ctx context.Context, frame []byte, interval time.Duration) error {
	defer func() { _ = w.conn.Close() }()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		// A link without carrier refuses frames; that is what is being watched, no error.
		_ = send(w.conn, frame)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w *Watch) listen(ctx context.Context) error {
	buffer := make([]byte, 2048)
	for {
		n, _, err := w.conn.ReadFrom(buffer)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("reading frames: %w", err)
		}
		if heard, ok := w.neighbour.hear(buffer[:n]); ok {
			w.note(heard, time.Now())
		}
	}
}

func (w *Watch) note(h heard, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.report.note(h, at)
}

// Report is what the watch has seen so far.
func (w *Watch) Report() Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	report := w.report
	report.Changes, report.Claims = slices.Clone(report.Changes), slices.Clone(report.Claims)
	return report
}

// Stop ends the watch and returns what it saw.
func (w *Watch) Stop() (Report, error) {
	w.cancel()
	err := w.group.Wait()
	return w.Report(), err
}

// send writes a frame; it goes to the hardware address that is in it.
func send(conn *packet.Conn, frame []byte) error {
	_, err := conn.WriteTo(frame, &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])})
	return err
}
