// SPDX-License-Identifier: Apache-2.0

package link

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Host is the network of this host, or of one network namespace on it.
type Host struct {
	namespace netns.NsHandle
}

// NewHost returns the network that the process itself sees.
func NewHost() *Host { return &Host{namespace: netns.None()} }

// NewHostAt returns the network of a namespace. The caller keeps the handle open as long as it uses the Host.
func NewHostAt(namespace netns.NsHandle) *Host { return &Host{namespace: namespace} }

// Watch sends the complete list of interfaces, sorted by name, at once and after every change, until the context ends; then it returns
// nil. Every state that the kernel reports is sent, so that an interface that went down and came back at once is seen doing so.
func (h *Host) Watch(ctx context.Context, updates chan<- []Link) error {
	events, err := nl.SubscribeAt(h.namespace, netns.None(), unix.NETLINK_ROUTE,
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return fmt.Errorf("subscribing to interfaces: %w", err)
	}
	defer events.Close()
	defer context.AfterFunc(ctx, events.Close)()
	handle, err := netlink.NewHandleAt(h.namespace, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("opening netlink: %w", err)
	}
	defer handle.Close()
	w := &watcher{handle: handle, updates: updates}
	if err := w.list(ctx); err != nil {
		return err
	}
	for {
		messages, from, err := events.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			// The kernel dropped events, so only a new list tells the truth.
			err = w.list(ctx)
		case err == nil && from.Pid == nl.PidKernel:
			err = w.handleAll(ctx, messages)
		}
		if err == nil && w.stale > 0 && (w.stale >= staleAtMost || !waiting(events.GetFd())) {
			err = w.readdress(ctx)
		}
		if err != nil {
			return fmt.Errorf("watching interfaces: %w", err)
		}
	}
}

// watcher follows the kernel's messages; one goroutine owns it.
type watcher struct {
	handle  *netlink.Handle
	updates chan<- []Link
	links   map[int]Link
	// stale counts the changes of addresses that were not looked at yet.
	stale int
}

// staleAtMost is how many changes of addresses may wait while more news comes in. Each look lists all addresses of the host, and a host
// may get hundreds at once (kube-proxy in mode ipvs has those of all Services); a link that goes down must not wait behind that.
const staleAtMost = 256

// waiting says whether more has come in on a socket.
func waiting(fd int) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return err == nil && n > 0
}

// list reads everything anew and sends it.
func (w *watcher) list(ctx context.Context) error {
	found, err := w.handle.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("listing interfaces: %w", err)
	}
	addresses, err := listAddresses(w.handle)
	if err != nil {
		return err
	}
	w.links = make(map[int]Link, len(found))
	for _, f := range found {
		l := fromKernel(f)
		w.links[l.Index] = l.with(addresses[l.Index])
	}
	w.send(ctx)
	return nil
}

func (w *watcher) handleAll(ctx context.Context, messages []syscall.NetlinkMessage) error {
	for _, m := range messages {
		before := maps.Clone(w.links)
		if err := w.handleOne(m); err != nil {
			// What the message says is not known, so only a new list tells the truth.
			return w.list(ctx)
		}
		if !maps.EqualFunc(before, w.links, Link.Equal) {
			w.send(ctx)
		}
	}
	return nil
}

func (w *watcher) handleOne(m syscall.NetlinkMessage) error {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		return w.handleLink(m)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		w.stale++
	}
	return nil
}

func (w *watcher) handleLink(m syscall.NetlinkMessage) error {
	// A bridge speaks of its ports with its own family: a "deleted" port still exists.
	if len(m.Data) < unix.SizeofIfInfomsg || nl.DeserializeIfInfomsg(m.Data).Family != unix.AF_UNSPEC {
		return nil
	}
	header := unix.NlMsghdr(m.Header)
	parsed, err := netlink.LinkDeserialize(&header, m.Data)
	if err != nil {
		return fmt.Errorf("reading an interface message: %w", err)
	}
	l := fromKernel(parsed)
	if m.Header.Type == unix.RTM_DELLINK {
		delete(w.links, l.Index)
		return nil
	}
	w.links[l.Index] = l.with(w.links[l.Index].configured())
	return nil
}

// readdress reads the addresses of all interfaces anew, and sends the interfaces if that makes a difference.
func (w *watcher) readdress(ctx context.Context) error {
	w.stale = 0
	addresses, err := listAddresses(w.handle)
	if err != nil {
		return err
	}
	before := maps.Clone(w.links)
	for index, l := range w.links {
		w.links[index] = l.with(addresses[index])
	}
	if !maps.EqualFunc(before, w.links, Link.Equal) {
		w.send(ctx)
	}
	return nil
}

func (w *watcher) send(ctx context.Context) {
	links := slices.SortedFunc(maps.Values(w.links), func(a, b Link) int { return cmp.Compare(a.Name, b.Name) })
	select {
	case w.updates <- links:
	case <-ctx.Done():
	}
}

func fromKernel(found netlink.Link) Link {
	a := found.Attrs()
	l := Link{
		Index:     a.Index,
		Name:      a.Name,
		Up:        a.RawFlags&unix.IFF_UP != 0,
		Carrier:   a.RawFlags&unix.IFF_UP != 0 && a.RawFlags&unix.IFF_RUNNING != 0,
		Master:    a.MasterIndex,
		NoARP:     a.RawFlags&unix.IFF_NOARP != 0,
		Broadcast: a.RawFlags&unix.IFF_BROADCAST != 0,
		Loopback:  a.RawFlags&unix.IFF_LOOPBACK != 0,
		Dummy:     found.Type() == (&netlink.Dummy{}).Type(),
		Bridge:    found.Type() == (&netlink.Bridge{}).Type(),
	}
	if len(a.HardwareAddr) == len(l.MAC) {
		l.MAC = MAC(a.HardwareAddr)
	}
	return l
}
