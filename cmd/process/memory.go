// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"runtime/debug"
)

// Frugal makes the process spend CPU rather than memory: its heap may grow by so many per cent between two collections (runtime: GOGC),
// where 100 is usual, unless the administrator has chosen with GOGC. It is for roles that hold all Services in memory and have little to do
// most of the time.
func Frugal(heapGrowth int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
}
