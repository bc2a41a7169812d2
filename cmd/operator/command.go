// SPDX-License-Identifier: Apache-2.0

// Package operator wires the operator role: options, clients, run group.
package operator

import (
	"errors"

	"github.com/spf13/cobra"
)

// New returns the operator command.
func New() *cobra.Command {
	return &cobra.Command{
		Use:   "operator",
		Short: "Run the operator",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return errors.New("not part of this build yet") },
	}
}
