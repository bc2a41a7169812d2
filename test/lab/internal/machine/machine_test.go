// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func TestProcessState(t *testing.T) {
	tail := " 1 7 7 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0"
	for name, row := range map[string]struct {
		stat, start string
		state       byte
		ok          bool
	}{
		"plain":               {"7 (etcd) S" + tail, "4711", 'S', true},
		"brackets and spaces": {"7 (a) b (c) R" + tail, "4711", 'R', true},
		"zombie":              {"7 (etcd) Z" + tail, "4711", 'Z', true},
		"cut short":           {"7 (etcd) S 1 2", "", 0, false},
		"empty":               {"", "", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, "stat"), []byte(row.stat), 0o600); err != nil {
				t.Fatal(err)
			}
			state, start, ok := processState(folder)
			if state != row.state || start != row.start || ok != row.ok {
				t.Errorf("got %q %q %t, want %q %q %t", state, start, ok, row.state, row.start, row.ok)
			}
		})
	}
}

func TestOnlyMarkedProcessesAreOurs(t *testing.T) {
	for name, row := range map[string]struct {
		environment string
		ours        bool
	}{
		"first":          {Mark + "=etcd\x00HOME=/\x00", true},
		"later":          {"HOME=/\x00" + Mark + "=etcd\x00", true},
		"in a value":     {"NOTE=" + Mark + "=etcd\x00", false},
		"end of a name":  {"HOME=/\x00NOT_" + Mark + "=1\x00", false},
		"no environment": {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, "environ"), []byte(row.environment), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := marked(folder); got != row.ours {
				t.Errorf("got %t, want %t", got, row.ours)
			}
		})
	}
}

func TestOwnProcessIsAliveAndAnEndedOneIsNot(t *testing.T) {
	if !alive(filepath.Join("/proc", strconv.Itoa(os.Getpid()))) {
		t.Error("this process is not alive")
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	if alive(filepath.Join("/proc", strconv.Itoa(ended.Process.Pid))) {
		t.Error("an ended process is alive")
	}
}

func TestLockWaitsForTheOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(t.Context(), path, func() { t.Error("nobody else holds the lock") })
	if err != nil {
		t.Fatal(err)
	}
	told := false
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Lock(short, path, func() { told = true }); err == nil || !told {
		t.Errorf("second lock: error %v, told %t", err, told)
	}
	unlock()
	unlock, err = Lock(t.Context(), path, func() { t.Error("the lock is free again") })
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
