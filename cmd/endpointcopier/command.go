// SPDX-License-Identifier: Apache-2.0

// Package endpointcopier wires the endpoint-copier role: options, clients, run group.
package endpointcopier

import (
	"errors"

	"github.com/spf13/cobra"
)

// New returns the endpoint-copier command.
func New() *cobra.Command {
	return &cobra.Command{
		Use:   "endpoint-copier",
		Short: "Run the endpoint-copier",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return errors.New("not part of this build yet") },
	}
}
