// SPDX-License-Identifier: Apache-2.0

package hostnet

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// maxNotices bounds how many notifications are thrown away in one go.
const maxNotices = 1 << 16

// Notices is a subscription that tells only that something has happened. What happens while nobody waits costs nothing but the socket's
// buffer: when that is full the kernel drops the rest, and one notice is as good as many.
type Notices struct {
	file *os.File
	raw  syscall.RawConn
}

// Subscribe asks the kernel for notices of groups (unix.RTMGRP_*, joined by or) in a namespace. The caller closes them.
func Subscribe(namespace netns.NsHandle, groups uint32) (*Notices, error) {
	var fd int
	err := Inside(namespace, func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, err
	}
	n := &Notices{file: os.NewFile(uintptr(fd), "netlink")}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return nil, errors.Join(err, n.file.Close())
	}
	if n.raw, err = n.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, n.file.Close())
	}
	return n, nil
}

// Wait rests for a time, in which notices gather, then blocks until there is one, and takes all that there are. At the end of the context
// it closes the Notices and returns the context's error.
func (n *Notices) Wait(ctx context.Context, rest time.Duration) error {
	defer context.AfterFunc(ctx, n.Close)()
	pause(ctx, rest)
	var failed error
	err := n.raw.Read(func(fd uintptr) bool {
		var taken bool
		taken, failed = take(int(fd))
		return taken || failed != nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(err, failed)
}

// pause waits for a time or for the end of the context.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// take reads what is there; of a message only the first byte, because only that it came matters.
func take(fd int) (taken bool, err error) {
	var first [1]byte
	for range maxNotices {
		_, err := unix.Read(fd, first[:])
		switch err {
		case nil, unix.ENOBUFS:
			taken = true
		case unix.EINTR:
		case unix.EAGAIN:
			return taken, nil
		default:
			return taken, err
		}
	}
	return taken, nil
}

// Close ends the subscription, and a Wait with it. It may be called more than once.
func (n *Notices) Close() { _ = n.file.Close() }
