// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"os"
	"runtime/debug"
)

// heapGrowth is by how many per cent the heap may grow between two collections, half of what is usual (runtime: GOGC=100). The role holds
// all Services in memory and has little to do most of the time.
const heapGrowth = 50

// frugal makes the process spend CPU rather than memory, unless the administrator has chosen with GOGC.
func frugal() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
}
