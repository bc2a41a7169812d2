// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"net/netip"

	"metalsuite.io/test/lab/internal/cluster"
	"metalsuite.io/test/lab/internal/netspace"
)

// Stranger is a host on both segments that belongs to nobody: for addresses that somebody else uses.
func (l *Lab) Stranger() Host { return Host{Name: l.variables["LAB_STRANGER"]} }

// Pacify takes the pools' addresses from the stranger and the nodes. `lab up` does the same.
func (l *Lab) Pacify(ctx context.Context) error {
	var errs []error
	for _, host := range append(l.Nodes(), l.Stranger()) {
		errs = append(errs, cluster.Pacify(ctx, host.Name))
	}
	return errors.Join(errs...)
}

// Configure carries out lines of `ip -batch` on the host, in order, up to the first that fails.
func (h Host) Configure(ctx context.Context, lines ...string) error {
	return netspace.Batch(ctx, h.Name, lines)
}

// Use configures an address on one of the host's links, so that its kernel answers for it.
func (h Host) Use(ctx context.Context, link string, address netip.Addr) error {
	return h.Configure(ctx, "addr replace "+whole(address)+" dev "+link+nodad(address))
}

// Leave ends Use.
func (h Host) Leave(ctx context.Context, link string, address netip.Addr) error {
	return h.Configure(ctx, "addr del "+whole(address)+" dev "+link)
}

func whole(address netip.Addr) string { return netip.PrefixFrom(address, address.BitLen()).String() }

// nodad lets an IPv6 address be used at once.
func nodad(address netip.Addr) string {
	if address.Is4() {
		return ""
	}
	return " nodad"
}

// Sysctl sets a kernel parameter of the host, given as its path below /proc/sys.
func (h Host) Sysctl(path, value string) error {
	return netspace.Sysctl(h.Name, [][2]string{{path, value}})
}
