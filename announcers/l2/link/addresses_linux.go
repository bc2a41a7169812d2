// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// configured is what the addresses of an interface tell about it.
type configured struct {
	addresses []netip.Addr
	wider     []netip.Addr
	prefixes  []netip.Prefix
	linkLocal netip.Addr
}

// with returns the interface with these addresses.
func (l Link) with(c configured) Link {
	l.Addresses, l.Wider, l.Prefixes, l.LinkLocal = c.addresses, c.wider, c.prefixes, c.linkLocal
	return l
}

// configured returns what with takes.
func (l Link) configured() configured {
	return configured{l.Addresses, l.Wider, l.Prefixes, l.LinkLocal}
}

// listAddresses returns the addresses by interface index. An interrupted dump is good enough: the event that interrupted it follows.
func listAddresses(handle *netlink.Handle) (map[int]configured, error) {
	found, err := handle.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("listing addresses: %w", err)
	}
	byLink := map[int]configured{}
	for _, f := range found {
		byLink[f.LinkIndex] = byLink[f.LinkIndex].add(f)
	}
	for index, c := range byLink {
		slices.SortFunc(c.addresses, netip.Addr.Compare)
		slices.SortFunc(c.wider, netip.Addr.Compare)
		slices.SortFunc(c.prefixes, netip.Prefix.Compare)
		c.prefixes = slices.Compact(c.prefixes)
		byLink[index] = c
	}
	return byLink, nil
}

// add notes one address. Of several usable link-local ones the lowest counts, so that the choice lasts.
func (c configured) add(f netlink.Addr) configured {
	a, ok := netip.AddrFromSlice(f.IP)
	if !ok {
		return c
	}
	a = a.Unmap()
	c.addresses = append(c.addresses, a)
	if ones, bits := f.Mask.Size(); ones != bits || f.Peer != nil {
		c.wider = append(c.wider, a)
	}
	usable := f.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0
	if isLinkLocal6(a) && usable && (!c.linkLocal.IsValid() || a.Less(c.linkLocal)) {
		c.linkLocal = a
	}
	subnet := f.IPNet
	if f.Peer != nil {
		subnet = f.Peer
	}
	if p, ok := subnetOf(subnet); ok {
		c.prefixes = append(c.prefixes, p)
	}
	return c
}

// subnetOf returns the network, unless it is a single address or link-local.
func subnetOf(n *net.IPNet) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	p := netip.PrefixFrom(a.Unmap(), ones)
	return p.Masked(), ok && p.IsValid() && !p.IsSingleIP() && !isLinkLocal6(p.Addr())
}
