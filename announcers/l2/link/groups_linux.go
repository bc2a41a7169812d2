// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"metalsuite.io/internal/hostnet"
)

// groups are the IPv6 multicast groups that the host is in on one interface for the sake of a Conn. The kernel leaves them with the
// sockets that joined them, and a socket holds only so many (net.core.optmem_max), so there may be several.
type groups struct {
	host  *Host
	index int

	lock    sync.Mutex
	closed  bool
	members []*member
	joined  map[netip.Addr]*member
}

// member is a socket that does nothing but be in groups.
type member struct {
	fd, count int
}

// Groups makes these the complete set of IPv6 multicast groups joined on the interface, so that the network and the hardware let their
// frames through. It needs no capability, only IPv6 on the interface and a Conn for NDP. It joins as many as it can; the error joins
// those of the others, and a further call tries again. Calling it again with the same groups does nothing.
func (c *Conn) Groups(wanted []netip.Addr) error {
	if c.protocol != NDP && len(wanted) > 0 {
		return fmt.Errorf("joining multicast groups: %v has none", c.protocol)
	}
	return c.groups.set(wanted)
}

func (g *groups) set(wanted []netip.Addr) error {
	g.lock.Lock()
	defer g.lock.Unlock()
	if g.closed {
		return net.ErrClosed
	}
	var problems []error
	keep := make(map[netip.Addr]bool, len(wanted))
	for _, a := range wanted {
		keep[a] = true
	}
	for a, m := range g.joined {
		if !keep[a] {
			problems = append(problems, g.leave(a, m))
		}
	}
	for _, a := range wanted {
		if g.joined[a] == nil {
			problems = append(problems, g.join(a))
		}
	}
	g.drop(func(m *member) bool { return m.count == 0 })
	return errors.Join(problems...)
}

// join enters a group with the newest socket, or with a new one when that is full.
func (g *groups) join(a netip.Addr) error {
	var m *member
	err := error(unix.ENOBUFS)
	if last := len(g.members) - 1; last >= 0 {
		m = g.members[last]
		err = m.set(unix.IPV6_JOIN_GROUP, a, g.index)
	}
	if isFull(err) && (m == nil || m.count > 0) {
		if m, err = g.open(); err == nil {
			err = m.set(unix.IPV6_JOIN_GROUP, a, g.index)
		}
	}
	if err != nil {
		return fmt.Errorf("joining the multicast group %v: %w", a, err)
	}
	m.count++
	if g.joined == nil {
		g.joined = map[netip.Addr]*member{}
	}
	g.joined[a] = m
	return nil
}

func isFull(err error) bool { return errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) }

// open adds a socket in the host's namespace.
func (g *groups) open() (*member, error) {
	m := &member{}
	err := hostnet.Inside(g.host.namespace, func() (err error) {
		m.fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening a socket: %w", err)
	}
	g.members = append(g.members, m)
	return m, nil
}

// leave forgets a group. A socket that is not in it any more, because the interface is gone, is no failure.
func (g *groups) leave(a netip.Addr, m *member) error {
	delete(g.joined, a)
	m.count--
	err := m.set(unix.IPV6_LEAVE_GROUP, a, g.index)
	if err == nil || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return fmt.Errorf("leaving the multicast group %v: %w", a, err)
}

func (m *member) set(option int, a netip.Addr, index int) error {
	return unix.SetsockoptIPv6Mreq(m.fd, unix.IPPROTO_IPV6, option, &unix.IPv6Mreq{Multiaddr: a.As16(), Interface: uint32(index)})
}

// drop closes the sockets of which that is true.
func (g *groups) drop(of func(*member) bool) {
	g.members = slices.DeleteFunc(g.members, func(m *member) bool {
		if of(m) {
			_ = unix.Close(m.fd)
		}
		return of(m)
	})
}

func (g *groups) close() {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.closed, g.joined = true, nil
	g.drop(func(*member) bool { return true })
}
