// SPDX-License-Identifier: Apache-2.0

// Package version prints which build this is.
package version

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// Version is the release of this build; the linker sets it (-X metalsuite.io/cmd/version.Version=v1.2.3).
var Version = "dev"

// New returns the version command.
func New() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this binary",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(c.OutOrStdout(), "metalsuite %s %s %s/%s\n", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
