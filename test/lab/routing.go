// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"metalsuite.io/test/lab/internal/cluster"
	"metalsuite.io/test/lab/internal/topology"
)

// The routers' autonomous systems.
const (
	RouterASN       = topology.RouterASN
	SecondRouterASN = topology.SecondRouterASN
)

// Uplink is a node's own link to the router, with link-local addresses alone.
const Uplink = topology.Uplink

// Downlink is the name that a node's own link has on the router.
func Downlink(node string) string { return topology.Downlink(node) }

// SecondRouter is a router on the segment that runs BIRD.
func (l *Lab) SecondRouter() Host { return Host{Name: l.variables["LAB_ROUTER_2"]} }

// RoutedPool4 holds addresses that are on no segment.
func (l *Lab) RoutedPool4() netip.Prefix {
	return netip.MustParsePrefix(l.variables["LAB_POOL4_ROUTED"])
}

// RoutedPool6 holds addresses that are on no segment.
func (l *Lab) RoutedPool6() netip.Prefix {
	return netip.MustParsePrefix(l.variables["LAB_POOL6_ROUTED"])
}

// Loopbacks are the router's addresses that are on no link.
func Loopbacks() (v4, v6 netip.Addr) { return topology.Loop4, topology.Loop6 }

// Bird asks BIRD and returns what it prints.
func (l *Lab) Bird(ctx context.Context, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "birdc", append([]string{"-s", cluster.BirdSocket()}, strings.Fields(command)...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("birdc %s: %w: %s", command, err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// Addr4 is the IPv4 address of a host on the segment; not valid for a host without one.
func (h Host) Addr4() netip.Addr { return h.addr(netip.Addr.Is4) }

// Addr6 is the IPv6 address of a host on the segment; not valid for a host without one.
func (h Host) Addr6() netip.Addr { return h.addr(netip.Addr.Is6) }

func (h Host) addr(of func(netip.Addr) bool) netip.Addr {
	all, err := h.Addresses(Segment)
	if err != nil {
		return netip.Addr{}
	}
	for _, a := range all {
		if of(a) && !topology.Pool4.Contains(a) && !topology.Pool6.Contains(a) {
			return a
		}
	}
	return netip.Addr{}
}

// Routes reads the routes of a host's kernel. Close gives its socket back.
type Routes struct {
	host   string
	handle *netlink.Handle
}

// Routes returns a reader of the host's routes.
func (h Host) Routes() (*Routes, error) {
	space, err := netns.GetFromName(h.Name)
	if err != nil {
		return nil, fmt.Errorf("opening network namespace %s: %w", h.Name, err)
	}
	handle, err := netlink.NewHandleAt(space, unix.NETLINK_ROUTE)
	if err := errors.Join(err, space.Close()); err != nil {
		return nil, fmt.Errorf("opening the routes of host %s: %w", h.Name, err)
	}
	return &Routes{h.Name, handle}, nil
}

// Close ends the reader.
func (r *Routes) Close() { r.handle.Close() }

// NextHops returns where the kernel sends packets for exactly this prefix, sorted; link-local addresses are without zone.
func (r *Routes) NextHops(prefix netip.Prefix) ([]netip.Addr, error) {
	destination := &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
	routes, err := r.handle.RouteListFiltered(familyOf(prefix), &netlink.Route{Dst: destination}, netlink.RT_FILTER_DST)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return nil, fmt.Errorf("reading the routes of host %s: %w", r.host, err)
	}
	return nextHops(routes), nil
}

// Count returns how many routes of a routing protocol the kernel has for prefixes of one family within the given one.
func (r *Routes) Count(within netip.Prefix, protocol int) (int, error) {
	routes, err := r.handle.RouteListFiltered(familyOf(within), &netlink.Route{Protocol: netlink.RouteProtocol(protocol)}, netlink.RT_FILTER_PROTOCOL)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return 0, fmt.Errorf("reading the routes of host %s: %w", r.host, err)
	}
	count := 0
	for _, route := range routes {
		if route.Dst == nil {
			continue
		}
		if a, ok := netip.AddrFromSlice(route.Dst.IP); ok && within.Contains(a.Unmap()) {
			count++
		}
	}
	return count, nil
}

func familyOf(prefix netip.Prefix) int {
	if prefix.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func nextHops(routes []netlink.Route) []netip.Addr {
	var all []netip.Addr
	add := func(gateway net.IP, via netlink.Destination) {
		if v, ok := via.(*netlink.Via); ok {
			gateway = v.Addr
		}
		if a, ok := netip.AddrFromSlice(gateway); ok {
			all = append(all, a.Unmap())
		}
	}
	for _, route := range routes {
		add(route.Gw, route.Via)
		for _, hop := range route.MultiPath {
			add(hop.Gw, hop.Via)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// NextHops reads once where the kernel of the host sends packets for exactly this prefix.
func (h Host) NextHops(prefix netip.Prefix) ([]netip.Addr, error) {
	routes, err := h.Routes()
	if err != nil {
		return nil, err
	}
	defer routes.Close()
	return routes.NextHops(prefix)
}

// The numbers under which the routers' routes stand in their kernels.
const (
	ProtocolFRR  = 186
	ProtocolBird = 12
)
