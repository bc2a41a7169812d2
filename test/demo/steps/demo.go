// SPDX-License-Identifier: Apache-2.0

package steps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"metalsuite.io/test/suite"
)

// Demo is what every demonstration has: the table, the lab, and three HTTP servers on it.
type Demo struct {
	Table
	// Suite is there from LabUp on.
	Suite *suite.Suite
	// Namespace and App name the Deployment of the servers.
	Namespace, App string
}

// Main runs a demonstration until it ends or the process is told to stop, then prints the table. It prints what to look at next and the
// line "<name>: ok", or it prints the error and ends the process with exit code 1. The commands are indented lines with a line break each.
func (d *Demo) Main(name, commands string, run func(context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	err := run(ctx)
	d.Print()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: failed: %v\n", name, err)
		os.Exit(1)
	}
	fmt.Printf(lookAround, commands)
	fmt.Printf("%s: ok\n", name)
}

const lookAround = `
The lab is still up. To look around:

  source .lab/env
%s
To remove it: make lab-down

`

// LabUp is the step that starts the lab and removes what an earlier demonstration left on it.
func (d *Demo) LabUp(ctx context.Context) (string, error) {
	up := exec.CommandContext(ctx, "go", "run", "./test/lab/cmd/lab", "up")
	up.Stdout, up.Stderr = os.Stdout, os.Stderr
	if err := up.Run(); err != nil {
		return "", fmt.Errorf("starting the lab: %w", err)
	}
	var err error
	if d.Suite, err = suite.Open(); err != nil {
		return "", err
	}
	if err := d.HealLinks(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d nodes are Ready", len(d.Suite.Lab.Nodes())), d.Suite.Reset(ctx)
}

// Deploy is the step that starts the HTTP servers.
func (d *Demo) Deploy(ctx context.Context) (string, error) {
	err := errors.Join(d.Suite.Apply(ctx, suite.HelloNamespace(d.Namespace)), d.Suite.Apply(ctx, suite.HelloDeployment(d.Namespace, d.App, 3)))
	if err != nil {
		return "", err
	}
	return "3 replicas are available", d.Suite.AwaitDeployment(ctx, d.Namespace, d.App, time.Minute)
}

// HealLinks gives every node its link back, up to the first that fails.
func (d *Demo) HealLinks(ctx context.Context) error {
	for _, node := range d.Suite.Lab.Nodes() {
		if err := d.Suite.Lab.Heal(ctx, node.Name); err != nil {
			return err
		}
	}
	return nil
}
