// SPDX-License-Identifier: Apache-2.0

// Package cluster makes the lab real: hosts, control plane, nodes, router, images, and the interface for scripts.
//
// It decides nothing about names and addresses (package topology) and keeps no account of what must be removed (package machine).
// Concurrency: Up runs independent parts in parallel under one errgroup; daemons outlive the process, goroutines do not outlive Up.
package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"metalsuite.io/test/lab/internal/checkout"
	"metalsuite.io/test/lab/internal/machine"
	"metalsuite.io/test/lab/internal/topology"
)

// Lab is one lab, made from a checkout.
type Lab struct {
	// Checkout is the root of the source tree.
	Checkout string
	// Inputs are what the user chose.
	Inputs topology.Inputs
	// WithoutSuite leaves the suite's own image out, for a lab while the suite does not compile.
	WithoutSuite bool
	// Progress gets one line per event.
	Progress func(format string, args ...any)

	bin string
}

func (l *Lab) log(name string) string { return filepath.Join(checkout.Logs(l.Checkout), name+".log") }

func (l *Lab) binary(name string) string { return filepath.Join(l.bin, name) }

// start starts a daemon whose log is named after it.
func (l *Lab) start(name, namespace string, command ...string) error {
	return machine.Daemon{Name: name, Namespace: namespace, Command: command, Log: l.log(name)}.Start()
}

// await polls until ready says yes, the daemon dies, or the time is over. Each failure names the daemon's log.
func (l *Lab) await(ctx context.Context, daemon string, timeout time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	last := fmt.Errorf("not checked yet")
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		if !machine.Alive(daemon) {
			return false, fmt.Errorf("%s has exited: %s", daemon, lastLine(l.log(daemon)))
		}
		last = ready(ctx)
		return last == nil, nil
	})
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("not ready after %s: %w", timeout, last)
	}
	if err != nil {
		return fmt.Errorf("waiting for %s (log: %s): %w", daemon, l.log(daemon), err)
	}
	return nil
}

func lastLine(file string) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return lines[len(lines)-1]
}

func writeFiles(files map[string]string) error {
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return fmt.Errorf("making a folder: %w", err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}
