// SPDX-License-Identifier: Apache-2.0

// Package netspace runs code and commands inside a named network namespace.
//
// Concurrency: a call of Do owns one operating-system thread for its length; a goroutine that the called function starts is NOT in the namespace.
package netspace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
)

// Folder is where iproute2 keeps named network namespaces.
const Folder = "/run/netns"

// Path is the file that stands for the namespace.
func Path(name string) string { return filepath.Join(Folder, name) }

// Exists says whether a namespace of that name is there.
func Exists(name string) bool {
	_, err := os.Stat(Path(name))
	return err == nil
}

// Do runs f on a thread that is inside the namespace. Sockets and files that f opens stay in the namespace for their life.
func Do(name string, f func() error) (err error) {
	runtime.LockOSThread()
	own, err := netns.Get()
	if err != nil {
		return fmt.Errorf("opening the own network namespace: %w", err)
	}
	defer func() { _ = own.Close() }()
	target, err := netns.GetFromName(name)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("opening network namespace %s: %w", name, err)
	}
	defer func() { _ = target.Close() }()
	if err := netns.Set(target); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("entering network namespace %s: %w", name, err)
	}
	defer func() {
		// A thread that cannot go back stays locked, so that the runtime ends it with its goroutine.
		if back := netns.Set(own); back != nil {
			err = errors.Join(err, fmt.Errorf("leaving network namespace %s: %w", name, back))
			return
		}
		runtime.UnlockOSThread()
	}()
	return f()
}

// Dial connects from inside the namespace. The address must be a literal: name lookups may run on other threads.
func Dial(ctx context.Context, name, network, address string) (conn net.Conn, err error) {
	err = Do(name, func() error {
		var dialer net.Dialer
		conn, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Command prepares a command that runs inside the namespace. It is nsenter --net, not `ip netns exec`: that one mounts a fresh /sys, which hides /sys/fs/cgroup,
// and the kubelet then stops at once.
func Command(ctx context.Context, name, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + Path(name), "--", program}, args...)...)
}

// Batch feeds lines to `ip -batch` inside the namespace.
func Batch(ctx context.Context, name string, lines []string) error {
	cmd := exec.CommandContext(ctx, "ip", "-n", name, "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	return Run(cmd)
}

// Run runs a command to its end; the error holds what it printed.
func Run(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Sysctl sets kernel parameters of the namespace, given as path below /proc/sys and value. One that this kernel does not have is left out.
func Sysctl(name string, settings [][2]string) error {
	return Do(name, func() error {
		for _, setting := range settings {
			err := os.WriteFile(filepath.Join("/proc/sys", setting[0]), []byte(setting[1]), 0)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("setting %s: %w", setting[0], err)
			}
		}
		return nil
	})
}
