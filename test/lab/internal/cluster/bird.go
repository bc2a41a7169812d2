// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"

	"metalsuite.io/test/lab/internal/machine"
	"metalsuite.io/test/lab/internal/netspace"
	"metalsuite.io/test/lab/internal/topology"
)

// birdFile is a file of BIRD, below the folder that goes with the lab.
func birdFile(name string) string { return filepath.Join(machine.Run, topology.SecondRouter, name) }

// BirdSocket is where BIRD's shell reaches it.
func BirdSocket() string { return birdFile("bird.ctl") }

// birdConfig takes routes from every host of the segment and puts them into the host's kernel, all next hops of each. After a failed session
// BIRD refuses its peer for a second, not for a minute, so that no story sees the failures of the one before.
func birdConfig() string {
	router := topology.SecondRouterHost()
	return fmt.Sprintf(`router id %[1]s;
log stderr all;
protocol device { scan time 5; }
protocol bfd {
	interface "eth0" { min rx interval 50 ms; min tx interval 50 ms; multiplier 3; };
	multihop { min rx interval 50 ms; min tx interval 50 ms; multiplier 3; };
}
protocol kernel kernel4 { ipv4 { import none; export where source = RTS_BGP; }; merge paths on; }
protocol kernel kernel6 { ipv6 { import none; export where source = RTS_BGP; }; merge paths on; }
template bgp hosts {
	local as %[2]d;
	hold time 9;
	error wait time 1, 2;
	error forget time 1;
	bfd on;
	ipv4 { import all; export none; extended next hop on; };
	ipv6 { import all; export none; };
}
protocol bgp hosts4 from hosts { neighbor range %[3]s external; dynamic name "four"; }
protocol bgp hosts6 from hosts { neighbor range %[4]s external; dynamic name "six"; }
`, router.Addr4(), topology.SecondRouterASN, topology.Subnet4, topology.Subnet6)
}

// startSecondRouter starts BIRD in its host's namespace.
func (l *Lab) startSecondRouter(ctx context.Context) error {
	config := birdFile("bird.conf")
	if err := writeFiles(map[string]string{config: birdConfig()}); err != nil {
		return err
	}
	// A mistake in the file would be seen in a log only.
	if err := netspace.Run(exec.CommandContext(ctx, "/usr/sbin/bird", "-p", "-c", config)); err != nil {
		return err
	}
	return l.start(topology.SecondRouter, topology.SecondRouter, "/usr/sbin/bird", "-f", "-c", config, "-s", BirdSocket(), "-P", birdFile("bird.pid"))
}
