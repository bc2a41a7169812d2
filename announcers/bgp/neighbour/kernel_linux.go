// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	// rest is the least time between two readings of the interfaces.
	rest = 20 * time.Millisecond
	// share is how many times longer than a reading took it rests after it: at most 5 % of a core goes into reading.
	share = 20
	// maxNotices bounds how many notifications are thrown away in one go.
	maxNotices = 1 << 16
)

// Kernel is the network of this host, or of one network namespace on it, as the Linux kernel tells it.
type Kernel struct {
	namespace netns.NsHandle
}

// NewKernel returns the network that the process itself sees.
func NewKernel() *Kernel { return &Kernel{namespace: netns.None()} }

// NewKernelAt returns the network of a namespace. The caller keeps the handle open as long as it uses the Kernel.
func NewKernelAt(namespace netns.NsHandle) *Kernel { return &Kernel{namespace: namespace} }

// Watch implements Host. After a reading it rests for 20 ms, and longer where there is so much to read that this took more than 1 ms.
func (k *Kernel) Watch(ctx context.Context, updates chan<- []Link) error {
	n, err := k.subscribe()
	if err != nil {
		return fmt.Errorf("subscribing to interfaces: %w", err)
	}
	defer n.close()
	defer context.AfterFunc(ctx, n.close)()
	for {
		started := time.Now()
		links, err := k.links()
		if err != nil {
			return err
		}
		took := time.Since(started)
		select {
		case updates <- links:
		case <-ctx.Done():
			return nil
		}
		pause(ctx, max(rest, share*took))
		err = n.wait()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watching interfaces: %w", err)
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

// links reads all interfaces, sorted by name.
func (k *Kernel) links() (links []Link, err error) {
	err = k.netlink(func(h *netlink.Handle) error {
		found, err := h.LinkList()
		if err := complete(err); err != nil {
			return fmt.Errorf("listing interfaces: %w", err)
		}
		addresses, err := addressesByLink(h)
		if err != nil {
			return err
		}
		for _, f := range found {
			links = append(links, linkOf(f.Attrs(), addresses[f.Attrs().Index]))
		}
		return nil
	})
	slices.SortFunc(links, func(a, b Link) int { return cmp.Compare(a.Name, b.Name) })
	return links, err
}

// linkOf puts a Link together. Of several link-local addresses the lowest counts, so that the choice lasts.
func linkOf(a *netlink.LinkAttrs, addresses []address) Link {
	l := Link{
		Index: a.Index, Name: a.Name, Hardware: a.HardwareAddr,
		Carrier: a.RawFlags&unix.IFF_UP != 0 && a.RawFlags&unix.IFF_RUNNING != 0,
	}
	for _, c := range addresses {
		if c.usable() {
			l.Addresses = append(l.Addresses, c.Addr())
		}
	}
	slices.SortFunc(l.Addresses, netip.Addr.Compare)
	if i := slices.IndexFunc(l.Addresses, isLinkLocal); i >= 0 {
		l.LinkLocal = l.Addresses[i]
	}
	return l
}

// Routers implements Host.
func (k *Kernel) Routers(index int) (routers []netip.Addr, err error) {
	err = k.netlink(func(h *netlink.Handle) error {
		found, err := h.NeighList(index, netlink.FAMILY_V6)
		if err := complete(err); err != nil {
			return fmt.Errorf("listing neighbours: %w", err)
		}
		for _, n := range found {
			a, ok := netip.AddrFromSlice(n.IP)
			gone := n.State == netlink.NUD_NONE || n.State&(netlink.NUD_INCOMPLETE|netlink.NUD_FAILED) != 0
			if ok && isLinkLocal(a) && n.LinkIndex == index && n.Flags&netlink.NTF_ROUTER != 0 && !gone {
				routers = append(routers, a)
			}
		}
		return nil
	})
	slices.SortFunc(routers, netip.Addr.Compare)
	return routers, err
}

// netlink runs a function with a netlink socket in the namespace.
func (k *Kernel) netlink(do func(h *netlink.Handle) error) error {
	h, err := netlink.NewHandleAt(k.namespace, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("opening netlink: %w", err)
	}
	defer h.Close()
	return do(h)
}

// complete passes over an interrupted dump: what has interrupted it is told, and then everything is read again.
func complete(err error) error {
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil
	}
	return err
}

// notices is a subscription that tells only that something has happened; what happens while nobody waits costs nothing but the socket's
// buffer. When that is full the kernel drops the rest, and one notice is as good as many.
type notices struct {
	file *os.File
	raw  syscall.RawConn
}

func (k *Kernel) subscribe() (*notices, error) {
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR
	fd, err := k.socket(unix.AF_NETLINK, unix.NETLINK_ROUTE)
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

// socket makes a raw socket that does not block, in the namespace.
func (k *Kernel) socket(family, protocol int) (fd int, err error) {
	err = k.inside(func() error {
		fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
		return err
	})
	return fd, err
}

// inside runs a function in the namespace.
func (k *Kernel) inside(do func() error) error {
	if !k.namespace.IsOpen() {
		return do()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := netns.Get()
	if err != nil {
		return fmt.Errorf("reading the current namespace: %w", err)
	}
	defer func() { _ = before.Close() }()
	if err := netns.Set(k.namespace); err != nil {
		return fmt.Errorf("entering a namespace: %w", err)
	}
	done := do()
	if err := netns.Set(before); err != nil {
		// A thread in a foreign namespace must not serve other goroutines: locked once more, it dies with this one.
		runtime.LockOSThread()
		return fmt.Errorf("leaving a namespace: %w", err)
	}
	return done
}
