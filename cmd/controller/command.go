// SPDX-License-Identifier: Apache-2.0

// Package controller wires the controller role: options, clients, run group.
package controller

import (
	"errors"

	"github.com/spf13/cobra"
)

// New returns the controller command.
func New() *cobra.Command {
	return &cobra.Command{
		Use:   "controller",
		Short: "Run the controller",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return errors.New("not part of this build yet") },
	}
}
