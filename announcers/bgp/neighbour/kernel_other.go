// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package neighbour

import (
	"context"
	"errors"
	"net/netip"
)

// Kernel stands for the network of this host; only Linux is served.
type Kernel struct{}

// NewKernel returns a Kernel whose methods all fail.
func NewKernel() *Kernel { return &Kernel{} }

// Watch fails.
func (*Kernel) Watch(context.Context, chan<- []Link) error { return errors.ErrUnsupported }

// Routers fails.
func (*Kernel) Routers(int) ([]netip.Addr, error) { return nil, errors.ErrUnsupported }

// Open fails.
func (*Kernel) Open(Link) (Conn, error) { return nil, errors.ErrUnsupported }

// HasAddress fails.
func (*Kernel) HasAddress(netip.Addr) (bool, error) { return false, errors.ErrUnsupported }

// HasInterface fails.
func (*Kernel) HasInterface(string) (bool, error) { return false, errors.ErrUnsupported }

// Way fails.
func (*Kernel) Way(netip.Addr, string) (Way, error) { return Way{}, errors.ErrUnsupported }

// GlobalAddress fails.
func (*Kernel) GlobalAddress(netip.Addr, string, bool) (netip.Addr, error) {
	return netip.Addr{}, errors.ErrUnsupported
}
