// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// address is one that is configured on an interface.
type address struct {
	netip.Prefix
	flags int
}

// usable says whether the kernel speaks from the address: duplicate address detection has passed or does not matter.
func (a address) usable() bool {
	tentative := a.flags&unix.IFA_F_TENTATIVE != 0 && a.flags&unix.IFA_F_OPTIMISTIC == 0
	return !tentative && a.flags&unix.IFA_F_DADFAILED == 0
}

// lasting says whether others can be told to send traffic to the address.
func (a address) lasting() bool {
	const passing = unix.IFA_F_TENTATIVE | unix.IFA_F_DEPRECATED
	temporary := a.Addr().Is6() && a.flags&unix.IFA_F_TEMPORARY != 0
	return a.usable() && a.flags&passing == 0 && !temporary && a.Addr().IsGlobalUnicast()
}

func addressesByLink(h *netlink.Handle) (map[int][]address, error) {
	found, err := h.AddrList(nil, netlink.FAMILY_ALL)
	if err := complete(err); err != nil {
		return nil, fmt.Errorf("listing addresses: %w", err)
	}
	byLink := map[int][]address{}
	for _, f := range found {
		if a, ok := netip.AddrFromSlice(f.IP); ok {
			ones, _ := f.Mask.Size()
			byLink[f.LinkIndex] = append(byLink[f.LinkIndex], address{netip.PrefixFrom(a.Unmap(), ones), f.Flags})
		}
	}
	return byLink, nil
}

// HasAddress says whether an address is configured on any interface of this node and may be used. Zones do not count.
func (k *Kernel) HasAddress(a netip.Addr) (has bool, err error) {
	err = k.netlink(func(h *netlink.Handle) error {
		byLink, err := addressesByLink(h)
		for _, addresses := range byLink {
			has = has || slices.ContainsFunc(addresses, func(c address) bool { return c.usable() && c.Addr() == a.WithZone("") })
		}
		return err
	})
	return has, err
}

// HasInterface says whether there is an interface, or the device of a VRF, with this name.
func (k *Kernel) HasInterface(name string) (has bool, err error) {
	err = k.netlink(func(h *netlink.Handle) error {
		_, err := h.LinkByName(name)
		if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
			return nil
		}
		has = err == nil
		return err
	})
	if err != nil {
		return false, fmt.Errorf("looking up the interface %s: %w", name, err)
	}
	return has, nil
}

// Way returns how the kernel would reach the peer. With the name of a VRF's device it looks in that VRF. The zone of a link-local peer is
// its interface. It fails when the kernel knows no way, or has no address to speak from.
func (k *Kernel) Way(peer netip.Addr, vrf string) (w Way, err error) {
	err = k.netlink(func(h *netlink.Handle) error {
		routes, err := h.RouteGetWithOptions(peer.AsSlice(), &netlink.RouteGetOptions{VrfName: vrf, Oif: peer.Zone()})
		if err != nil {
			return err
		}
		for _, r := range routes {
			a, ok := netip.AddrFromSlice(r.Src)
			if !ok || a.IsLoopback() && !peer.IsLoopback() {
				// The kernel names its own loopback while no address of the right interface may be used.
				continue
			}
			link, err := h.LinkByIndex(r.LinkIndex)
			if err != nil {
				return err
			}
			w = Way{Local: a.Unmap(), Interface: link.Attrs().Name, OnLink: r.Gw == nil && r.Via == nil}
			return nil
		}
		return errors.New("no address of this node can be used for it")
	})
	if err != nil {
		return Way{}, fmt.Errorf("looking up the route to %v: %w", peer, err)
	}
	return w, nil
}

// GlobalAddress returns an address of a family that others can use as next hop to this node: on the interface that has the address local,
// else on the interface via; either may be zero. It is not valid when there is none. Addresses that are link-local, temporary (RFC 8981),
// deprecated or tentative do not count. Among several, those of a subnet come before single ones, then those that were configured before
// those that the network gave, then the lowest.
func (k *Kernel) GlobalAddress(local netip.Addr, via string, ipv6 bool) (found netip.Addr, err error) {
	err = k.netlink(func(h *netlink.Handle) error {
		byLink, err := addressesByLink(h)
		if err != nil {
			return err
		}
		for _, addresses := range byLink {
			if slices.ContainsFunc(addresses, func(c address) bool { return local.IsValid() && c.Addr() == local.WithZone("") }) {
				found = best(addresses, ipv6)
			}
		}
		if found.IsValid() || via == "" {
			return nil
		}
		link, err := h.LinkByName(via)
		if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking up the interface %s: %w", via, err)
		}
		found = best(byLink[link.Attrs().Index], ipv6)
		return nil
	})
	return found, err
}

// best chooses among addresses; the result is not valid when none will do.
func best(addresses []address, ipv6 bool) netip.Addr {
	candidates := slices.DeleteFunc(slices.Clone(addresses), func(a address) bool { return !a.lasting() || a.Addr().Is6() != ipv6 })
	if len(candidates) == 0 {
		return netip.Addr{}
	}
	return slices.MinFunc(candidates, func(a, b address) int {
		return cmp.Or(
			order(a.IsSingleIP(), b.IsSingleIP()),
			order(a.flags&unix.IFA_F_PERMANENT == 0, b.flags&unix.IFA_F_PERMANENT == 0),
			a.Addr().Compare(b.Addr()),
		)
	}).Addr()
}

// order puts false before true.
func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
