// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"context"
	"net/netip"

	"github.com/go-logr/logr"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp/neighbour"
	"metalsuite.io/api/reason"
)

// host is the network of this machine.
type host struct {
	watcher *neighbour.Watcher
	kernel  *neighbour.Kernel
}

// HostNetwork returns the network of this machine, as the process sees it.
func HostNetwork(log logr.Logger) Network {
	return &host{watcher: neighbour.New(neighbour.Options{Log: log}), kernel: neighbour.NewKernel()}
}

func (h *host) Run(ctx context.Context) error { return h.watcher.Run(ctx) }

func (h *host) Want(interfaces []string) { h.watcher.Want(interfaces) }

func (h *host) Changed() <-chan struct{} { return h.watcher.Changed() }

func (h *host) Path(s announcers.PeerSettings) (Path, *reason.Problem) {
	if problem := h.missing(s); problem != nil {
		return Path{}, problem
	}
	p, problem := h.way(s)
	if problem != nil {
		return Path{}, problem
	}
	for ipv6, into := range map[bool]*netip.Addr{false: &p.Global4, true: &p.Global6} {
		var err error
		if *into, err = h.kernel.GlobalAddress(p.Local, p.Interface, ipv6); err != nil {
			return Path{}, reason.New(reason.NoNextHop, "the addresses of %s could not be read: %v", p.Interface, err)
		}
	}
	return p, nil
}

// missing says what the settings name that this node does not have. What cannot be found out is believed.
func (h *host) missing(s announcers.PeerSettings) *reason.Problem {
	if s.VRF != "" {
		if has, err := h.kernel.HasInterface(s.VRF); err == nil && !has {
			return reason.New(reason.VRFMissing, "this node has no VRF device %s", s.VRF)
		}
	}
	if s.Source.IsValid() {
		if has, err := h.kernel.HasAddress(s.Source); err == nil && !has {
			return reason.New(reason.NoSourceAddress, "this node does not have the source address %s", s.Source)
		}
	}
	return nil
}

// way returns the path without what a peer may use as next hop.
func (h *host) way(s announcers.PeerSettings) (Path, *reason.Problem) {
	if s.Interface != "" {
		found, problem := h.watcher.Found(s.Interface)
		return Path{Remote: found.Remote, Interface: s.Interface, Local: found.Local, OnLink: true}, problem
	}
	w, err := h.kernel.Way(s.Address, s.VRF)
	if err != nil {
		return Path{}, reason.New(reason.PeerUnreachable, "this node has no route to %s: %v", s.Address, err)
	}
	p := Path{Remote: s.Address, Interface: w.Interface, Local: w.Local, OnLink: w.OnLink}
	if s.Source.IsValid() {
		p.Local = s.Source
	}
	return p, nil
}
