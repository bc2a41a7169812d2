// SPDX-License-Identifier: Apache-2.0

package hostnet

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/vishvananda/netns"
)

// Inside runs a function on a thread that is in the namespace, and returns its error. Sockets and files that the function opens stay in the
// namespace; goroutines that it starts are not there.
func Inside(namespace netns.NsHandle, do func() error) error {
	if !namespace.IsOpen() {
		return do()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := netns.Get()
	if err != nil {
		return fmt.Errorf("reading the current namespace: %w", err)
	}
	defer func() { _ = before.Close() }()
	if err := netns.Set(namespace); err != nil {
		return fmt.Errorf("entering a namespace: %w", err)
	}
	err = do()
	if back := netns.Set(before); back != nil {
		// A thread in a foreign namespace must not serve other goroutines: locked once more, it dies with this one.
		runtime.LockOSThread()
		err = errors.Join(err, fmt.Errorf("leaving a namespace: %w", back))
	}
	return err
}
