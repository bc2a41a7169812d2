// SPDX-License-Identifier: Apache-2.0

// Package bgpchild wires the child process in which the speaker keeps GoBGP. Nobody but the speaker starts it.
package bgpchild

import (
	"os"

	"github.com/spf13/cobra"

	"metalsuite.io/announcers/bgp/gobgp"
	"metalsuite.io/cmd/process"
)

// Name is the command as the speaker calls it.
const Name = "bgp-session"

// New returns the command; it is hidden, since it is of no use to people.
func New() *cobra.Command {
	return &cobra.Command{
		Use:    Name,
		Short:  "Run the BGP sessions of the parent speaker process",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			defer process.GiveBack()()
			return gobgp.Serve(os.Stdin, os.Stderr)
		},
	}
}
