// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package link

import (
	"context"
	"errors"
)

// Host stands for the network of this host; only Linux is served.
type Host struct{}

// Socket exists on Linux only.
type Socket struct{}

// NewHost returns a Host whose methods all fail.
func NewHost() *Host { return &Host{} }

// Watch fails.
func (*Host) Watch(context.Context, chan<- []Link) error { return errors.ErrUnsupported }

// OpenARP fails.
func (*Host) OpenARP(Link) (*Socket, error) { return nil, errors.ErrUnsupported }

// Read fails.
func (*Socket) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// Write fails.
func (*Socket) Write([]byte) error { return errors.ErrUnsupported }

// Close does nothing.
func (*Socket) Close() error { return nil }
