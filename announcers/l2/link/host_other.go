// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package link

import (
	"context"
	"errors"
	"net/netip"
)

// Host stands for the network of this host; only Linux is served.
type Host struct{}

// NewHost returns a Host whose methods all fail.
func NewHost() *Host { return &Host{} }

// Watch fails.
func (*Host) Watch(context.Context, chan<- []Link) error { return errors.ErrUnsupported }

// WatchRoutes fails.
func (*Host) WatchRoutes(context.Context, chan<- Routes) error { return errors.ErrUnsupported }

// Conn exists on Linux only.
type Conn struct{}

// Open fails.
func (*Host) Open(Link, Protocol) (*Conn, error) { return nil, errors.ErrUnsupported }

// Serve fails.
func (*Conn) Serve(func([]byte, func([]byte) error)) error { return errors.ErrUnsupported }

// Write fails.
func (*Conn) Write([]byte) error { return errors.ErrUnsupported }

// Filter fails.
func (*Conn) Filter([]netip.Prefix) error { return errors.ErrUnsupported }

// Groups fails.
func (*Conn) Groups([]netip.Addr) error { return errors.ErrUnsupported }

// Close does nothing.
func (*Conn) Close() error { return nil }
