// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// startPowerless starts command without any capability, and so that it never gets one: capset and no_new_privs concern a thread, and what a
// thread forks has what the thread has. The thread is not used for anything else.
func startPowerless(command *exec.Cmd) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and no unlock: the thread ends with this function
		if err := dropCapabilities(); err != nil {
			result <- err
			return
		}
		result <- command.Start()
	}()
	return <-result
}

func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up new privileges: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData // capabilities from 0 to 31, and from 32 on
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("dropping capabilities: %w", err)
	}
	return nil
}
