// SPDX-License-Identifier: Apache-2.0

// Package cmd builds the command tree of the one binary: a subcommand per role.
//
// It wires; it decides nothing. Signals are handled here and nowhere else: every role gets a context that ends with the process.
package cmd

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"metalsuite.io/cmd/bgpchild"
	"metalsuite.io/cmd/controller"
	"metalsuite.io/cmd/endpointcopier"
	"metalsuite.io/cmd/operator"
	"metalsuite.io/cmd/speaker"
	"metalsuite.io/cmd/version"
)

// Main runs the command line and returns the exit code of the process: 0, or 1 after an error was printed.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := New().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "metalsuite:", err)
		return 1
	}
	return 0
}

// New returns the root command with every role below it.
func New() *cobra.Command {
	root := &cobra.Command{
		Use:           "metalsuite",
		Short:         "A load balancer for bare-metal Kubernetes",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(operator.New(), controller.New(), speaker.New(), endpointcopier.New(), version.New(), bgpchild.New())
	return root
}
