// SPDX-License-Identifier: Apache-2.0

// Command metalsuite is a load balancer for bare-metal Kubernetes: every role of the suite is a subcommand of this one binary.
package main

import (
	"os"

	"metalsuite.io/cmd"
)

func main() {
	os.Exit(cmd.Main())
}
