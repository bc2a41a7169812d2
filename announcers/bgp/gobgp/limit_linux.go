// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Memory of a child. 10,000 routes need 26 MiB, and nothing that a peer sends is kept; the bound is for faults.
const (
	mostMemory = 1 << 30
	// leastMemory is the least bound: a child that does nothing yet has mapped half of it.
	leastMemory = 256 << 20
	// firstKilled is the highest oom_score_adj: of a container that is out of memory the kernel ends the children first.
	firstKilled = "1000"
	// cgroupLimit is the memory limit of the container, or "max".
	cgroupLimit = "/sys/fs/cgroup/memory.max"
)

// memoryLimit returns how much memory a child may have, in bytes: half of what the container has, within the bounds. limit is the text of the
// container's limit.
func memoryLimit(limit string) uint64 {
	container, err := strconv.ParseUint(strings.TrimSpace(limit), 10, 64)
	if err != nil {
		return mostMemory
	}
	return max(leastMemory, min(mostMemory, container/2))
}

// limitMemory bounds the memory of this process, a child, and has the kernel end it before its parent. Either is of use without the other.
// RLIMIT_DATA counts what is mapped to be written to, so that the addresses that Go only reserves are free.
func limitMemory(most uint64) error {
	var limit, score error
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: most, Max: most}); err != nil {
		limit = fmt.Errorf("setting RLIMIT_DATA to %d: %w", most, err)
	}
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte(firstKilled), 0o600); err != nil {
		score = fmt.Errorf("setting oom_score_adj to %s: %w", firstKilled, err)
	}
	return errors.Join(limit, score)
}

// containerLimit returns the text of the container's memory limit; empty when there is none to be found.
func containerLimit() string {
	text, err := os.ReadFile(cgroupLimit)
	if err != nil {
		return ""
	}
	return string(text)
}
