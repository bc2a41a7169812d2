// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"metalsuite.io/api/reason"
)

// leaveWithin bounds the goodbye to the other members.
const leaveWithin = 200 * time.Millisecond

// Run takes part in the membership until the context ends, then says goodbye, which takes at most 200 ms. It returns an error when it
// cannot start, with reason GossipPortTaken if another process has the port; it may be called again then.
func (m *Membership) Run(ctx context.Context) error {
	list, err := m.start(ctx)
	if err != nil {
		return err
	}
	var joins sync.WaitGroup
	joins.Go(func() { m.rekey(ctx) })
	joins.Go(func() { m.watchOneself(ctx) })
	m.tend(ctx, list, &joins)
	m.stop(list)
	joins.Wait()
	m.mu.Lock()
	m.table.clear()
	m.holds = newHolds(m.holds.lateBy)
	m.count()
	m.mu.Unlock()
	signal(m.changed)
	return nil
}

// start opens the sockets and starts memberlist.
func (m *Membership) start(ctx context.Context) (*memberlist.Memberlist, error) {
	config := m.config()
	sockets, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
		BindAddrs: []string{config.BindAddr},
		BindPort:  config.BindPort,
		Logger:    config.Logger,
	})
	if err != nil {
		return nil, m.explain(err)
	}
	config.Transport = &transport{NetTransport: sockets, ctx: ctx, from: m.options.Bind.Addr().AsSlice()}
	list, err := memberlist.Create(config)
	if err != nil {
		return nil, fmt.Errorf("starting the membership on %s: %w", m.options.Bind, errors.Join(err, sockets.Shutdown()))
	}
	return list, nil
}

func (m *Membership) config() *memberlist.Config {
	o := m.options
	c := timings[o.Profile].config()
	c.Name = o.Name
	c.BindAddr, c.BindPort = o.Bind.Addr().String(), int(o.Bind.Port())
	c.AdvertisePort = c.BindPort
	c.Keyring = m.keyring
	c.Delegate, c.Events, c.Ping = delegate{m}, delegate{m}, delegate{m}
	c.Logger = log.New(m.lines, "", 0)
	return c
}

// explain makes the error of a port that is taken a problem with a fix; memberlist hands on only its text.
func (m *Membership) explain(err error) error {
	if strings.Contains(err.Error(), "address already in use") {
		err = reason.New(reason.GossipPortTaken, "%s is in use by another process", m.options.Bind)
	}
	return fmt.Errorf("listening for members on %s: %w", m.options.Bind, err)
}

// tend spreads what this node publishes and joins whoever is missing until the context ends.
func (m *Membership) tend(ctx context.Context, list *memberlist.Memberlist, joins *sync.WaitGroup) {
	heal := healer{}
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.published:
			m.spread(list)
		case <-m.wake:
		case <-next.C:
		}
		p := heal.plan(time.Now(), m.missing(), m.outdated())
		for _, address := range p.due {
			joins.Go(func() { m.join(list, address) })
		}
		for _, address := range p.tired {
			m.options.Log.Info("Speaker does not answer, will retry less often", "address", address)
		}
		next.Reset(min(p.wait, m.lapse(), m.release()))
	}
}

// lapse tells the user when problems have lapsed, and returns after how long the next one will.
func (m *Membership) lapse() time.Duration {
	problems, next := m.lines.problems(time.Now())
	if len(problems) < m.known {
		signal(m.changed)
	}
	m.known = len(problems)
	if next == 0 {
		return idle
	}
	return next
}

// spread broadcasts this node's state, and in its metadata that there is a new one for those whom the broadcast misses.
func (m *Membership) spread(list *memberlist.Memberlist) {
	m.mu.Lock()
	own := m.table.own()
	m.mu.Unlock()
	m.queue.QueueBroadcast(broadcast{name: own.Name, message: encode(own)})
	// The message is queued at once; the error only says that it has not been sent as often as it will be.
	_ = list.UpdateNode(time.Millisecond)
}

func (m *Membership) missing() []netip.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.table.missing(m.peers, m.holds.since)
}

func (m *Membership) outdated() []netip.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.table.outdated()
}

// join exchanges states with one address; memberlist bounds it and logs a failure, the plan repeats it.
func (m *Membership) join(list *memberlist.Memberlist, address netip.Addr) {
	at := netip.AddrPortFrom(address, m.options.Bind.Port())
	if _, err := list.Join([]string{at.String()}); err != nil {
		m.options.Log.V(1).Info("Speaker does not answer", "address", address, "error", err.Error())
	}
}

// stop says goodbye so that the others need not find out, then closes the sockets. Members that would hold this one, since they run late
// themselves, are told that it is not fit any more.
func (m *Membership) stop(list *memberlist.Memberlist) {
	m.mu.Lock()
	said := m.table.own().State
	unfit := said.clone()
	unfit.Fit = false
	m.table.publish(unfit)
	last := m.table.own()
	m.mu.Unlock()
	m.queue.QueueBroadcast(broadcast{name: last.Name, message: encode(last)})
	if err := list.Leave(leaveWithin); err != nil {
		m.options.Log.V(1).Info("Broadcasting the departure of this member timed out", "error", err.Error())
	}
	if err := list.Shutdown(); err != nil {
		m.options.Log.Error(err, "Closing the membership failed")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table.own().State.equal(unfit) {
		m.table.publish(said) // for another Run
	}
}

// transport is memberlist's own, with attempts to connect that end with the context: a silent peer does not delay the shutdown. They come
// from the address of this member, by which the others know it.
type transport struct {
	*memberlist.NetTransport
	ctx  context.Context
	from net.IP
}

// DialAddressTimeout connects to a member.
func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: timeout, LocalAddr: &net.TCPAddr{IP: t.from}}
	return dialer.DialContext(t.ctx, "tcp", a.Addr)
}
