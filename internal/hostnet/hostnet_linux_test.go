// SPDX-License-Identifier: Apache-2.0

package hostnet_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"metalsuite.io/internal/hostnet"
)

// namespace makes a network namespace without a name: it is gone with its handle, at the end of the test.
func namespace(t *testing.T) netns.NsHandle {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces, so it must run as root")
	}
	made, failed := make(chan netns.NsHandle, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and no unlock: the thread ends with this function
		ns, err := netns.New()
		made <- ns
		failed <- err
	}()
	ns, err := <-made, <-failed
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}

// here names the namespace that the calling thread is in.
func here(t *testing.T) string {
	t.Helper()
	name, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestInside(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	outside := here(t)
	tests := []struct {
		name      string
		namespace netns.NsHandle
		elsewhere bool
		fails     error
	}{
		{name: "another namespace", namespace: namespace(t), elsewhere: true},
		{name: "the namespace of the process", namespace: netns.None()},
		{name: "an error in another namespace", namespace: namespace(t), elsewhere: true, fails: errors.New("made up")},
	}
	for _, test := range tests {
		var during string
		err := hostnet.Inside(test.namespace, func() error {
			during = here(t)
			return test.fails
		})
		if !errors.Is(err, test.fails) {
			t.Errorf("%s: got the error %v, want %v", test.name, err, test.fails)
		}
		if (during != outside) != test.elsewhere {
			t.Errorf("%s: it was in %s, and %s is outside", test.name, during, outside)
		}
		if after := here(t); after != outside {
			t.Errorf("%s: afterwards the thread is in %s instead of %s", test.name, after, outside)
		}
	}
}

func TestInsideOfAClosedNamespace(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	err = hostnet.Inside(netns.NsHandle(file.Fd()), func() error {
		t.Error("it ran in something that is no namespace")
		return nil
	})
	if err == nil {
		t.Error("no error")
	}
}

func TestNotices(t *testing.T) {
	ns := namespace(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	n, err := hostnet.Subscribe(ns, unix.RTMGRP_LINK)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	kernel, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "lan0"
	if err := kernel.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "peer0"}); err != nil {
		t.Fatal(err)
	}
	// What happened before Wait counts.
	if err := n.Wait(ctx, 0); err != nil {
		t.Errorf("after a new interface: %v", err)
	}
	ended, end := context.WithCancel(ctx)
	end()
	if err := n.Wait(ended, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("at the end of the context: got %v", err)
	}
	if err := n.Wait(ctx, 0); err == nil {
		t.Error("after the end: no error")
	}
}
