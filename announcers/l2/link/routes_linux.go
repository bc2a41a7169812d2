// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"metalsuite.io/internal/hostnet"
)

const (
	// routesRest is the least time between two listings of the routes.
	routesRest = time.Second
	// routesShare is how many times longer than the processor time of a listing it rests after it: at most 5 % of a core goes into listing.
	routesShare = 20
	// routesNotices are routes, and interfaces and addresses, because routes that go with those are not reported.
	routesNotices = unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE | unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR
)

// WatchRoutes sends what the routes say at once and after every change that makes a difference, until the context ends; then it returns
// nil. Changes that follow each other fast are taken together: after a listing it rests for a second, and longer when there are so many
// routes that the listing took more than 50 ms.
func (h *Host) WatchRoutes(ctx context.Context, updates chan<- Routes) error {
	return h.watchRoutes(ctx, updates, routesRest)
}

func (h *Host) watchRoutes(ctx context.Context, updates chan<- Routes, rest time.Duration) error {
	n, err := hostnet.Subscribe(h.namespace, routesNotices)
	if err != nil {
		return fmt.Errorf("subscribing to routes: %w", err)
	}
	defer n.Close()
	var last *Routes
	for {
		var found Routes
		took, err := cpuTime(func() (err error) {
			found, err = h.listRoutes(ctx)
			return err
		})
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
		err = n.Wait(ctx, max(rest, routesShare*took))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watching routes: %w", err)
		}
	}
}

// cpuTime calls a function and returns the processor time that it took, its system calls included. On a busy machine the clock on the wall
// runs on while others compute, and a short listing would be followed by a long rest.
func cpuTime(do func() error) (time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &before); err != nil {
		return 0, fmt.Errorf("reading the processor time: %w", err)
	}
	failed := do()
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &after); err != nil {
		return 0, fmt.Errorf("reading the processor time: %w", err)
	}
	nanoseconds := func(r unix.Rusage) int64 { return r.Utime.Nano() + r.Stime.Nano() }
	return time.Duration(nanoseconds(after) - nanoseconds(before)), failed
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
