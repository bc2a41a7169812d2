// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"time"

	"metalsuite.io/test/lab/internal/netspace"
)

// The names of the segments' links on every host.
const (
	Segment       = "eth0"
	SecondSegment = "eth1"
)

// Host is one network namespace of the lab.
type Host struct {
	// Name of the namespace.
	Name string
}

// Do runs f on a thread that is inside the host's namespace. A goroutine that f starts is not; sockets that f opens stay there.
func (h Host) Do(f func() error) error { return netspace.Do(h.Name, f) }

// Command prepares a command that runs on the host.
func (h Host) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	return netspace.Command(ctx, h.Name, program, args...)
}

// Dial connects from the host; the address must be a literal.
func (h Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return netspace.Dial(ctx, h.Name, network, address)
}

// HTTPClient connects from the host, anew for each request, since a kept connection would hide where a new one goes.
func (h Host) HTTPClient(timeout time.Duration) *http.Client {
	return &http.Client{Timeout: timeout, Transport: &http.Transport{DialContext: h.Dial, DisableKeepAlives: true}}
}

// MAC is the hardware address of one of the host's links.
func (h Host) MAC(link string) (net.HardwareAddr, error) {
	device, err := h.device(link)
	if err != nil {
		return nil, err
	}
	return device.HardwareAddr, nil
}

func (h Host) device(link string) (device *net.Interface, err error) {
	err = h.Do(func() error {
		device, err = net.InterfaceByName(link)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("finding %s on host %s: %w", link, h.Name, err)
	}
	return device, nil
}

// Addresses lists the addresses of one of the host's links, link-local ones left out.
func (h Host) Addresses(link string) ([]netip.Addr, error) {
	device, err := h.device(link)
	if err != nil {
		return nil, err
	}
	var found []net.Addr
	if err := h.Do(func() error { found, err = device.Addrs(); return err }); err != nil {
		return nil, fmt.Errorf("listing addresses of %s on host %s: %w", link, h.Name, err)
	}
	var addresses []netip.Addr
	for _, address := range found {
		prefix, err := netip.ParsePrefix(address.String())
		if err == nil && !prefix.Addr().IsLinkLocalUnicast() {
			addresses = append(addresses, prefix.Addr())
		}
	}
	return addresses, nil
}
