// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"runtime"

	"github.com/vishvananda/netns"
)

// inside runs a function in the namespace of the host.
func (h *Host) inside(do func() error) error {
	if !h.namespace.IsOpen() {
		return do()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := netns.Get()
	if err != nil {
		return fmt.Errorf("reading the current namespace: %w", err)
	}
	defer func() { _ = before.Close() }()
	if err := netns.Set(h.namespace); err != nil {
		return fmt.Errorf("entering a namespace: %w", err)
	}
	done := do()
	if err := netns.Set(before); err != nil {
		// A thread in a foreign namespace must not serve other goroutines: locked once more, it dies with this one.
		runtime.LockOSThread()
		return fmt.Errorf("leaving a namespace: %w", err)
	}
	return done
}
