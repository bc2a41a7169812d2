// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/arp"
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

// ARPReport is what a watch has seen so far.
type ARPReport struct {
	// Answers counts replies to our requests, Gratuitous what hosts announced by themselves.
	Answers, Gratuitous int
	// Changes in the order of time; the first is the first answer.
	Changes []Change
	// LongestSilence between two answers; the silence that goes on now is not in it.
	LongestSilence time.Duration
	// Last is when the last answer came.
	Last time.Time
}

// Owner is the hardware address that answered last, "" if none ever did.
func (r ARPReport) Owner() string {
	if len(r.Changes) == 0 {
		return ""
	}
	return r.Changes[len(r.Changes)-1].To
}

// Owners lists each hardware address that ever answered, once, in the order of its first answer.
func (r ARPReport) Owners() []string {
	var owners []string
	for _, change := range r.Changes {
		if !slices.Contains(owners, change.To) {
			owners = append(owners, change.To)
		}
	}
	return owners
}

// seen adds one answer.
func (r *ARPReport) seen(mac string, at time.Time) {
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

// ARPWatch asks again and again who has an address. Stop ends its goroutines.
type ARPWatch struct {
	address netip.Addr
	client  *arp.Client
	cancel  context.CancelFunc
	group   *errgroup.Group

	mu     sync.Mutex
	report ARPReport
}

// WatchARP asks on the link, once per interval, who has the address, until Stop is called or ctx ends.
func (h Host) WatchARP(ctx context.Context, link string, address netip.Addr, interval time.Duration) (*ARPWatch, error) {
	client, err := h.arpClient(link)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	watch := &ARPWatch{address: address, client: client, cancel: cancel}
	watch.group, ctx = errgroup.WithContext(ctx)
	watch.group.Go(func() error { return watch.ask(ctx, interval) })
	watch.group.Go(func() error { return watch.listen(ctx) })
	return watch, nil
}

func (h Host) arpClient(link string) (client *arp.Client, err error) {
	err = h.Do(func() error {
		device, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		client, err = arp.Dial(device)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening ARP on %s of host %s: %w", link, h.Name, err)
	}
	return client, nil
}

// ask ends the listener with it, by closing the socket.
func (w *ARPWatch) ask(ctx context.Context, interval time.Duration) error {
	defer func() { _ = w.client.Close() }()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		// A link without carrier refuses frames; that is what is being watched, no error.
		_ = w.client.Request(w.address)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w *ARPWatch) listen(ctx context.Context) error {
	for {
		packet, _, err := w.client.Read()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("reading ARP: %w", err)
		case packet.SenderIP == w.address:
			w.note(packet, time.Now())
		}
	}
}

func (w *ARPWatch) note(packet *arp.Packet, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if packet.SenderIP == packet.TargetIP {
		w.report.Gratuitous++
		return
	}
	if packet.Operation == arp.OperationReply {
		w.report.seen(packet.SenderHardwareAddr.String(), at)
	}
}

// Report is what the watch has seen so far.
func (w *ARPWatch) Report() ARPReport {
	w.mu.Lock()
	defer w.mu.Unlock()
	report := w.report
	report.Changes = slices.Clone(report.Changes)
	return report
}

// Stop ends the watch and returns what it saw.
func (w *ARPWatch) Stop() (ARPReport, error) {
	w.cancel()
	err := w.group.Wait()
	return w.Report(), err
}

// WhoHas asks for the address for a while and lists each hardware address that answered.
func (h Host) WhoHas(ctx context.Context, link string, address netip.Addr, during time.Duration) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, during)
	defer cancel()
	watch, err := h.WatchARP(ctx, link, address, 10*time.Millisecond)
	if err != nil {
		return nil, err
	}
	<-ctx.Done()
	report, err := watch.Stop()
	return report.Owners(), err
}
