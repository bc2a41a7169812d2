// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// holdingsOf counts what process pid has; goroutines only of this one.
func holdingsOf(t testing.TB, pid int) holdings {
	t.Helper()
	var out holdings
	if pid == os.Getpid() {
		out.Goroutines = runtime.NumGoroutine()
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	out.Files = len(files)
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		pids, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended meanwhile
		}
		out.Children += len(strings.Fields(string(pids)))
	}
	return out
}
