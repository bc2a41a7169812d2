// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package linktest makes network namespaces for tests that need real interfaces. It needs root and says so.
package linktest

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Namespace makes a network namespace without a name: it is gone with its handle, at the end of the test.
func Namespace(tb testing.TB) netns.NsHandle {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Fatal("this test makes network namespaces and raw sockets, so it must run as root")
	}
	ns := netns.None()
	err := onThread(func() (err error) {
		ns, err = netns.New()
		return err
	})
	if err != nil {
		tb.Fatalf("making a network namespace: %v", err)
	}
	tb.Cleanup(func() { _ = ns.Close() })
	return ns
}

// Inside runs a function in a namespace.
func Inside(ns netns.NsHandle, do func() error) error {
	return onThread(func() error {
		if err := netns.Set(ns); err != nil {
			return err
		}
		return do()
	})
}

// onThread runs a function on a thread of its own, which ends with it: what the function does to the thread concerns no one else.
func onThread(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- do()
	}()
	return <-done
}

// Handle opens netlink in a namespace until the test ends.
func Handle(tb testing.TB, ns netns.NsHandle) *netlink.Handle {
	tb.Helper()
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		tb.Fatalf("opening netlink in a namespace: %v", err)
	}
	tb.Cleanup(h.Close)
	return h
}

// WithoutRawSockets runs a function on a thread that lacks the capability NET_RAW.
func WithoutRawSockets(do func() error) error {
	return onThread(func() error {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&header, &data[0]); err != nil {
			return err
		}
		data[0].Effective &^= 1 << unix.CAP_NET_RAW
		if err := unix.Capset(&header, &data[0]); err != nil {
			return err
		}
		return do()
	})
}

// Internal makes an interface that leads to no segment and switches it on: a dummy, or an ifb where the kernel has no dummies; both drop
// frames and use no ARP.
func Internal(tb testing.TB, h *netlink.Handle, name string) netlink.Link {
	tb.Helper()
	attributes := netlink.NewLinkAttrs()
	attributes.Name = name
	err := h.LinkAdd(&netlink.Dummy{LinkAttrs: attributes})
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = h.LinkAdd(&netlink.Ifb{LinkAttrs: attributes})
	}
	if err != nil {
		tb.Fatalf("making the interface %s: %v", name, err)
	}
	l, err := h.LinkByName(name)
	if err == nil {
		err = h.LinkSetUp(l)
	}
	if err != nil {
		tb.Fatalf("switching the interface %s on: %v", name, err)
	}
	return l
}
