// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Daemon is a program of the lab that outlives `lab up`.
type Daemon struct {
	// Name is unique in the lab, for example n1-kubelet.
	Name string
	// Namespace is the network namespace that it lives in.
	Namespace string
	// Command is the program and its arguments.
	Command []string
	// Log is the file that gets all it prints.
	Log string
}

// Start starts the daemon in a session of its own and records it.
func (d Daemon) Start() error {
	log, err := os.OpenFile(d.Log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", d.Name, err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command("nsenter", append([]string{"--net=/run/netns/" + d.Namespace, "--"}, d.Command...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.Env = []string{Mark + "=" + d.Name, "HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", d.Name, err)
	}
	pid := cmd.Process.Pid
	_, start, _ := processState(filepath.Join("/proc", strconv.Itoa(pid)))
	if err := os.WriteFile(pidFile(d.Name), fmt.Appendf(nil, "%d %s\n", pid, start), 0o644); err != nil {
		return fmt.Errorf("recording %s: %w", d.Name, err)
	}
	if err := joinCgroup(d.Namespace, pid); err != nil {
		return fmt.Errorf("starting %s: %w", d.Name, err)
	}
	return cmd.Process.Release()
}

// Alive says whether the daemon of that name runs: the process with the recorded number and start time.
func Alive(name string) bool {
	content, err := os.ReadFile(pidFile(name))
	fields := strings.Fields(string(content))
	if err != nil || len(fields) != 2 {
		return false
	}
	state, start, ok := processState(filepath.Join("/proc", fields[0]))
	return ok && start == fields[1] && state != 'Z' && state != 'X'
}

// Kill ends the daemon of that name at once, as a crash would, and waits until it is gone. It is no error if it does not run.
func Kill(ctx context.Context, name string) error {
	return wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		if !Alive(name) {
			return true, nil
		}
		content, err := os.ReadFile(pidFile(name))
		if err != nil {
			return false, fmt.Errorf("ending %s: %w", name, err)
		}
		pid, err := strconv.Atoi(strings.Fields(string(content))[0])
		if err != nil {
			return false, fmt.Errorf("ending %s: %w", name, err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return false, fmt.Errorf("ending %s: %w", name, err)
		}
		return false, nil
	})
}

// Daemons lists the names of all daemons that were started.
func Daemons() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(Run, "pid"))
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, err
}

func pidFile(name string) string { return filepath.Join(Run, "pid", name) }
