// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	// routesRest is the least time between two listings of the routes.
	routesRest = time.Second
	// routesShare is how many times longer than a listing took it rests after it: at most 5 % of a core goes into listing.
	routesShare = 20
	// maxNotices bounds how many notifications are thrown away in one go.
	maxNotices = 1 << 16
)

// WatchRoutes sends what the routes say at once and after every change that makes a difference, until the context ends; then it returns
// nil. Changes that follow each other fast are taken together: after a listing it rests for a second, and longer when there are so many
// routes that the listing took more than 50 ms.
func (h *Host) WatchRoutes(ctx context.Context, updates chan<- Routes) error {
	return h.watchRoutes(ctx, updates, routesRest)
}

func (h *Host) watchRoutes(ctx context.Context, updates chan<- Routes, rest time.Duration) error {
	n, err := h.openNotices()
	if err != nil {
		return fmt.Errorf("subscribing to routes: %w", err)
	}
	defer n.close()
	defer context.AfterFunc(ctx, n.close)()
	var last *Routes
	for {
		started := time.Now()
		found, err := h.listRoutes(ctx)
		took := time.Since(started)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if last == nil || !last.Equal(found) {
			select {
			case updates <- found:
			case <-ctx.Done():
				return nil
			}
			last = &found
		}
		pause(ctx, max(rest, routesShare*took))
		err = n.wait()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watching routes: %w", err)
		}
	}
}

// pause waits for a time or for the end of the context.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// listRoutes reads the routes of all tables, one at a time; once the context has ended it looks at no more. An interrupted dump is good enough: the event that interrupted it follows.
func (h *Host) listRoutes(ctx context.Context) (Routes, error) {
	socket, err := nl.GetNetlinkSocketAt(h.namespace, netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return Routes{}, fmt.Errorf("opening netlink: %w", err)
	}
	defer socket.Close()
	c := newCollector()
	request := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	request.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket}}
	request.AddData(&nl.RtMsg{})
	err = request.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE, func(m []byte) bool {
		if r, ok := parseRoute(m); ok {
			c.add(r)
		}
		return ctx.Err() == nil
	})
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return Routes{}, fmt.Errorf("listing routes: %w", err)
	}
	return c.routes(), nil
}

// notices is a subscription that tells only that something happened. What happens while nobody waits costs nothing but the socket's
// buffer: when that is full the kernel drops the rest, and one notice is as good as many.
type notices struct {
	file *os.File
	raw  syscall.RawConn
}

// openNotices subscribes to routes, and to interfaces and addresses, because routes that go with those are not reported.
func (h *Host) openNotices() (*notices, error) {
	groups := uint32(unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE | unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR)
	var fd int
	err := h.inside(func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, err
	}
	n := &notices{file: os.NewFile(uintptr(fd), "netlink")}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return nil, errors.Join(err, n.file.Close())
	}
	if n.raw, err = n.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, n.file.Close())
	}
	return n, nil
}

// wait blocks until there is a notice, and takes all that there are.
func (n *notices) wait() error {
	var failed error
	err := n.raw.Read(func(fd uintptr) bool {
		var taken bool
		taken, failed = take(int(fd))
		return taken || failed != nil
	})
	return errors.Join(err, failed)
}

// take reads what is there; of a message only the first byte, because only that it came matters.
func take(fd int) (taken bool, err error) {
	var first [1]byte
	for range maxNotices {
		_, err := unix.Read(fd, first[:])
		switch err {
		case nil, unix.ENOBUFS:
			taken = true
		case unix.EINTR:
		case unix.EAGAIN:
			return taken, nil
		default:
			return taken, err
		}
	}
	return taken, nil
}

func (n *notices) close() { _ = n.file.Close() }
