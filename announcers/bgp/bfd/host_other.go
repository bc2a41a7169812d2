// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package bfd

import "errors"

type host struct{}

// NewHost returns a Host whose sockets all fail; only Linux is served.
func NewHost() Host { return host{} }

func (host) Listen(Port) (Listener, error) { return nil, errors.ErrUnsupported }
func (host) Dial(Path) (Sender, error)     { return nil, errors.ErrUnsupported }
func (host) Domain(string) string          { return "" }
