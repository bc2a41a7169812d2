// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// folderPattern is what folders of sockets are called; lockName is the file in each that its owner holds while it lives.
const (
	folderPattern = "metalsuite-bgp-*"
	lockName      = "lock"
)

// folder is where the sockets of one run are. Only this user gets in.
type folder struct {
	path string
	lock *os.File
}

// newFolder makes a folder below parent, and removes those that killed processes left there.
func newFolder(parent string) (*folder, error) {
	clearStale(parent)
	path, err := os.MkdirTemp(parent, folderPattern) // mode 0700
	if err != nil {
		return nil, fmt.Errorf("making a folder for sockets: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		_ = os.RemoveAll(path) // the first error counts
		return nil, fmt.Errorf("locking the folder for sockets: %w", err)
	}
	return &folder{path: path, lock: lock}, nil
}

func (f *folder) remove() error {
	err := os.RemoveAll(f.path)
	_ = f.lock.Close() // nothing was written
	return err
}

// clearStale removes folders whose owner is gone: the kernel has released its lock. A folder without a lock is still being made, or lost;
// it is left alone. What cannot be removed is none of our business.
func clearStale(parent string) {
	found, _ := filepath.Glob(filepath.Join(parent, folderPattern)) // the pattern is valid
	for _, path := range found {
		lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(path)
		}
		_ = lock.Close()
	}
}
