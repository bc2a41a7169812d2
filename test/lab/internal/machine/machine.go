// SPDX-License-Identifier: Apache-2.0

// Package machine keeps account of what a lab leaves on the machine outside its checkout, and removes it: processes, mounts, network namespaces, control
// groups, folders. At most one lab exists on a machine.
//
// What belongs to a lab is told by marks that survive a killed `lab up` and a lost checkout: an environment variable on every daemon, a file per
// namespace under Run, names below one control group. Nothing else is ever ended or removed. Callers hold the machine's lock.
package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"metalsuite.io/test/lab/internal/netspace"
	"metalsuite.io/test/lab/internal/topology"
)

// Run holds sockets and marks, Data holds images and volumes. Both are outside the checkout: a socket's path may have 107 bytes only, and the next checkout must
// find what an earlier one left.
const (
	Run  = "/run/metalsuite-lab"
	Data = "/var/lib/metalsuite-lab"
	// Mark is the environment variable that every daemon of the lab has; what they start inherits it.
	Mark = "METALSUITE_LAB_DAEMON"
	// CgroupPrefix starts the name of every control group of the lab.
	CgroupPrefix = "metalsuite-lab-"

	lockFile = "/run/metalsuite-lab.lock"
)

// Owner says whose lab it is. It is written before anything else is made.
type Owner struct {
	// Checkout is the root of the source tree that made the lab.
	Checkout string
	// Inputs are what it was made from.
	Inputs topology.Inputs
	// Binaries is the folder of the Kubernetes binaries that it runs.
	Binaries string
	// Complete is set when `lab up` has reached its end.
	Complete bool
}

// LockMachine makes this process the only one that changes the lab.
func LockMachine(ctx context.Context, busy func()) (unlock func(), err error) {
	return Lock(ctx, lockFile, busy)
}

// ReadOwner says whose lab is there; ok is false if none is, or if its mark is unreadable.
func ReadOwner() (owner Owner, ok bool) {
	content, err := os.ReadFile(filepath.Join(Run, "owner.json"))
	if err != nil {
		return Owner{}, false
	}
	return owner, json.Unmarshal(content, &owner) == nil
}

// WriteOwner makes the folders and marks the lab as owner's.
func WriteOwner(owner Owner) error {
	for _, folder := range []string{Run, Data, filepath.Join(Run, "netns"), filepath.Join(Run, "pid")} {
		if err := os.MkdirAll(folder, 0o711); err != nil {
			return fmt.Errorf("making the lab's folder: %w", err)
		}
	}
	content, err := json.Marshal(owner)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(Run, "owner.json"), content, 0o644)
}

// AddNamespace marks a network namespace as the lab's and makes it. One that is there already is a stranger's: that is an error.
func AddNamespace(ctx context.Context, name string) error {
	if netspace.Exists(name) {
		return fmt.Errorf("network namespace %s exists and is not the lab's; remove it with: ip netns del %s", name, name)
	}
	if err := os.WriteFile(filepath.Join(Run, "netns", name), nil, 0o644); err != nil {
		return fmt.Errorf("marking network namespace %s: %w", name, err)
	}
	return netspace.Run(command(ctx, "ip", "netns", "add", name))
}

// Namespaces lists the network namespaces that are marked as the lab's.
func Namespaces() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(Run, "netns"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, err
}
