// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"os/exec"

	"metalsuite.io/test/lab/internal/netspace"
	"metalsuite.io/test/lab/internal/topology"
)

// Cut takes the carrier from a node's link on the segment: the node itself sees that.
func Cut(ctx context.Context, node string) error {
	return netspace.Batch(ctx, topology.Segment, []string{"link set v-" + node + " down"})
}

// CutSilently blocks a node's port of the segment while its carrier stays: only missing answers tell.
func CutSilently(ctx context.Context, node string) error {
	return portState(ctx, node, "disabled")
}

// Heal ends either cut; it is no error if there is none.
func Heal(ctx context.Context, node string) error {
	if err := netspace.Batch(ctx, topology.Segment, []string{"link set v-" + node + " up"}); err != nil {
		return err
	}
	return portState(ctx, node, "forwarding")
}

// Pacify takes the pools' addresses from a host that uses some.
func Pacify(ctx context.Context, host string) error {
	return netspace.Batch(ctx, host, topology.OwnAddressScript())
}

func portState(ctx context.Context, node, state string) error {
	return netspace.Run(exec.CommandContext(ctx, "bridge", "-n", topology.Segment, "link", "set", "dev", "v-"+node, "state", state))
}
