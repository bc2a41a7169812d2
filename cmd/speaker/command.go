// SPDX-License-Identifier: Apache-2.0

// Package speaker wires the speaker role: options, clients, run group.
package speaker

import (
	"errors"

	"github.com/spf13/cobra"
)

// New returns the speaker command.
func New() *cobra.Command {
	return &cobra.Command{
		Use:   "speaker",
		Short: "Run the speaker",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return errors.New("not part of this build yet") },
	}
}
