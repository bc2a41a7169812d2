// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"metalsuite.io/internal/hostnet"
)

const (
	// rest is the least time between two readings of the interfaces.
	rest = 20 * time.Millisecond
	// share is how many times longer than a reading took it rests after it: at most 5 % of a core goes into reading.
	share = 20
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
	n, err := hostnet.Subscribe(k.namespace, unix.RTMGRP_LINK|unix.RTMGRP_IPV4_IFADDR|unix.RTMGRP_IPV6_IFADDR)
	if err != nil {
		return fmt.Errorf("subscribing to interfaces: %w", err)
	}
	defer n.Close()
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
		err = n.Wait(ctx, max(rest, share*took))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watching interfaces: %w", err)
		}
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

// socket makes a raw socket that does not block, in the namespace.
func (k *Kernel) socket(family, protocol int) (fd int, err error) {
	err = hostnet.Inside(k.namespace, func() error {
		fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
		return err
	})
	return fd, err
}
