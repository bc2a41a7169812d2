// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"

	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/api/reason"
)

// reopenAfter is how long a socket that failed is left alone.
const reopenAfter = 200 * time.Millisecond

// sockets are those of all interfaces, with a goroutine each that reads. The engine's goroutine owns them.
type sockets struct {
	links Links
	clock Clock
	log   logr.Logger
	heard *mailbox

	open   map[socketKey]*responder
	names  map[int]string
	failed map[socketKey]error
	// missing are the interfaces that do not exist any more, as one of their sockets says; the list of interfaces follows a moment later.
	missing map[int]bool
	joined  map[int]joined
	applied map[socketKey][]netip.Prefix
	// retry is when what failed is tried again; zero when nothing has.
	retry   time.Time
	dead    chan death
	readers *sync.WaitGroup
}

// death says that a responder cannot read any more.
type death struct {
	key       socketKey
	responder *responder
	err       error
}

func newSockets(links Links, clock Clock, heard *mailbox, log logr.Logger) sockets {
	return sockets{
		links: links, clock: clock, heard: heard, log: log.WithValues("announcer", Name),
		open: map[socketKey]*responder{}, names: map[int]string{}, failed: map[socketKey]error{}, missing: map[int]bool{},
		joined: map[int]joined{}, applied: map[socketKey][]netip.Prefix{}, dead: make(chan death), readers: &sync.WaitGroup{},
	}
}

// ensure opens the socket of a protocol on an interface. Only a missing permission is an error: no other interface would fare better.
func (s *sockets) ensure(ctx context.Context, l link.Link, p protocol, prefixes []netip.Prefix) error {
	key := socketKey{l.Index, p.kind()}
	if s.open[key] != nil || s.failed[key] != nil {
		return nil
	}
	s.names[l.Index] = l.Name
	socket, err := s.links.Open(l, p.kind())
	if errors.Is(err, os.ErrPermission) {
		return reason.New(reason.RawSocketDenied, "the speaker may not open raw sockets: %v", err)
	}
	if err != nil {
		s.fail(key, err)
		return nil
	}
	s.log.Info("Interface is used for announcements", "interface", l.Name, "protocol", p.kind().String())
	r := newResponder(p, l.Index, socket, s.heard, s.log.WithValues("interface", l.Name))
	s.open[key] = r
	s.filterOne(key, prefixes)
	s.readers.Go(func() {
		err := r.serve()
		select {
		case s.dead <- death{key, r, err}:
		case <-ctx.Done():
		}
	})
	return nil
}

func (s *sockets) fail(key socketKey, err error) {
	s.log.V(1).Info("Interface cannot be used for announcements, will retry", "interface", s.names[key.index], "error", err.Error())
	s.failed[key] = err
	if errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO) {
		s.missing[key.index] = true
	}
	s.later(reopenAfter)
}

// later has everything that failed tried again after a while.
func (s *sockets) later(d time.Duration) {
	if at := s.clock.Now().Add(d); s.retry.IsZero() || at.Before(s.retry) {
		s.retry = at
	}
}

// relist lets failed sockets be opened again on a new list of interfaces. The list may be older than the news that an interface is missing,
// so a missing one stays missing until a list leaves it out or the next retry is due.
func (s *sockets) relist(links []link.Link) {
	maps.DeleteFunc(s.failed, func(key socketKey, _ error) bool { return !s.missing[key.index] })
	maps.DeleteFunc(s.missing, func(index int, _ bool) bool {
		return !slices.ContainsFunc(links, func(l link.Link) bool { return l.Index == index })
	})
	if len(s.missing) == 0 {
		clear(s.failed)
		s.retry = time.Time{}
	}
}

// retryDue says whether failed sockets are to be opened again now, and forgets their failures.
func (s *sockets) retryDue() bool {
	if s.retry.IsZero() || s.retry.After(s.clock.Now()) {
		return false
	}
	clear(s.failed)
	clear(s.missing)
	s.retry = time.Time{}
	return true
}

// bury closes the socket of a responder that cannot read any more; false when that was done on purpose.
func (s *sockets) bury(d death) bool {
	if s.open[d.key] != d.responder {
		return false
	}
	s.close(d.key)
	s.fail(d.key, d.err)
	return true
}

// filter has every socket look at these prefixes only.
func (s *sockets) filter(prefixes []netip.Prefix) {
	for key := range s.open {
		if !slices.Equal(s.applied[key], prefixes) {
			s.filterOne(key, prefixes)
		}
	}
}

// filterOne keeps the old filter when the new one is refused, and tries again later.
func (s *sockets) filterOne(key socketKey, prefixes []netip.Prefix) {
	s.applied[key] = prefixes
	if err := s.open[key].socket.Filter(prefixes); err != nil {
		delete(s.applied, key)
		s.log.Info("Setting the packet filter of the interface failed, will retry", "interface", s.names[key.index], "error", err.Error())
		s.later(rejoinAfter)
	}
}

// joined are the groups that an interface listens to, or was to listen to when that failed.
type joined struct {
	groups []netip.Addr
	failed bool
}

// join has every interface listen to its groups. What failed is tried again when the groups change, or with all that failed.
func (s *sockets) join(groups map[int][]netip.Addr, again bool) {
	for key, r := range s.open {
		if key.protocol != link.NDP {
			continue
		}
		have := s.joined[key.index]
		if slices.Equal(have.groups, groups[key.index]) && !(have.failed && again) {
			continue
		}
		err := r.socket.Groups(groups[key.index])
		s.joined[key.index] = joined{groups[key.index], err != nil}
		if err != nil {
			s.log.Info("Joining multicast groups on the interface failed, will retry", "interface", s.names[key.index], "error", err.Error())
			s.later(rejoinAfter)
		}
	}
}

// rejoinAfter is how long a filter or groups that were refused are left alone.
const rejoinAfter = 5 * time.Second

func (s *sockets) closeUnless(wanted map[socketKey]bool) {
	for key := range s.open {
		if !wanted[key] {
			s.close(key)
		}
	}
}

func (s *sockets) close(key socketKey) {
	r := s.open[key]
	delete(s.open, key)
	delete(s.applied, key)
	if key.protocol == link.NDP {
		delete(s.joined, key.index)
	}
	if err := r.socket.Close(); err != nil {
		r.log.V(1).Info("Closing a socket failed", "error", err.Error())
	}
	s.log.Info("Interface is no longer used for announcements", "interface", s.names[key.index], "protocol", key.protocol.String())
}

func (s *sockets) closeAll() {
	for key := range s.open {
		s.close(key)
	}
}

// blame makes a socket that failed the fault of its interface: for the family of its protocol, or for both families when the interface is
// down. One protocol may notice that before the other does, and before the list of interfaces.
func (p *port) blame(of protocol, err error) {
	switch {
	case err == nil || p.fault != nil:
	case of.kind() == link.ARP || errors.Is(err, syscall.ENETDOWN):
		p.fault = unreadable(p.Name, err)
	default:
		p.fault6 = unreadable(p.Name, err)
	}
}

// unreadable says why an interface without socket cannot be used. The socket may notice before the interface list that it went down.
func unreadable(name string, err error) *reason.Problem {
	if errors.Is(err, syscall.ENETDOWN) {
		return reason.New(reason.NoCarrier, "interface %s is down", name)
	}
	return reason.New(reason.NoUsableInterface, "receiving on interface %s failed: %v", name, err)
}
