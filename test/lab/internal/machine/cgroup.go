// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// AddCgroup makes the control group in which a node's pods live and returns its name for the kubelet. On version 1 that is a folder per controller, and cpuset
// needs its values copied by hand; on version 2 the root must hand the controllers down.
func AddCgroup(node string) (string, error) {
	name := CgroupPrefix + node
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return "/" + name, addCgroup2(name)
	}
	for _, controller := range []string{"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "net_cls", "net_prio", "perf_event", "systemd"} {
		parent := filepath.Join(cgroupRoot, controller)
		if _, err := os.Stat(parent); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := os.MkdirAll(filepath.Join(parent, name), 0o755); err != nil {
			return "", fmt.Errorf("making a control group: %w", err)
		}
		if controller == "cpuset" {
			if err := copyCpuset(parent, filepath.Join(parent, name)); err != nil {
				return "", err
			}
		}
	}
	return "/" + name, nil
}

// joinCgroup moves a daemon into the control group of its host, beside the group of the host's pods, as systemd's system.slice stands beside
// kubepods.slice. The hosts of the lab share the processors evenly then, and the many processes that start pods do not starve those of a
// running pod.
func joinCgroup(host string, pid int) error {
	root := filepath.Join(cgroupRoot, "cpu")
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		root = cgroupRoot
		_ = os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+cpu"), 0)
	}
	if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); errors.Is(err, os.ErrNotExist) {
		return nil // a machine without control groups for processors
	}
	group := filepath.Join(root, CgroupPrefix+host, "system")
	if err := os.MkdirAll(group, 0o755); err != nil {
		return fmt.Errorf("making a control group: %w", err)
	}
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		return fmt.Errorf("moving a process into a control group: %w", err)
	}
	return nil
}

func copyCpuset(from, to string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(from, file))
		if err != nil {
			return fmt.Errorf("reading the cpuset: %w", err)
		}
		if err := os.WriteFile(filepath.Join(to, file), value, 0); err != nil {
			return fmt.Errorf("copying the cpuset: %w", err)
		}
	}
	return nil
}

func addCgroup2(name string) error {
	for _, controller := range []string{"cpu", "cpuset", "memory", "pids", "io", "hugetlb"} {
		// A controller that this machine lacks is refused; the kubelet says which it cannot do without.
		_ = os.WriteFile(filepath.Join(cgroupRoot, "cgroup.subtree_control"), []byte("+"+controller), 0)
	}
	if err := os.MkdirAll(filepath.Join(cgroupRoot, name), 0o755); err != nil {
		return fmt.Errorf("making a control group: %w", err)
	}
	return nil
}
