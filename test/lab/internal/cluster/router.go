// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"metalsuite.io/test/lab/internal/netspace"
	"metalsuite.io/test/lab/internal/topology"
)

// frrFolders are where Debian's FRR looks for the files of the router's path space; `vtysh -N tor` finds them there.
func frrFolders() []string {
	return []string{filepath.Join("/etc/frr", topology.Router), filepath.Join("/var/run/frr", topology.Router)}
}

func frrConfig() string {
	router := topology.RouterHost()
	return fmt.Sprintf(`hostname %[1]s
router bgp %[2]d
 bgp router-id %[3]s
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 bgp bestpath as-path multipath-relax
 timers bgp 3 9
 neighbor N peer-group
 neighbor N remote-as external
 neighbor N bfd
 bgp listen limit 200
 bgp listen range %[4]s peer-group N
 bgp listen range %[5]s peer-group N
 address-family ipv4 unicast
  neighbor N activate
  maximum-paths 64
 exit-address-family
 address-family ipv6 unicast
  neighbor N activate
  maximum-paths 64
 exit-address-family
`, router.Name, topology.RouterASN, router.Addr4(), topology.Subnet4, topology.Subnet6)
}

// startRouter starts FRR in the router's namespace.
func (l *Lab) startRouter(ctx context.Context) error {
	folders := frrFolders()
	for _, folder := range folders {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("making the router's folder: %w", err)
		}
	}
	config := filepath.Join(folders[0], "frr.conf")
	if err := writeFiles(map[string]string{config: frrConfig(), filepath.Join(folders[0], "vtysh.conf"): ""}); err != nil {
		return err
	}
	if err := netspace.Run(exec.CommandContext(ctx, "chown", append([]string{"-R", "frr:frr"}, folders...)...)); err != nil {
		return err
	}
	for _, daemon := range []string{"zebra", "bgpd", "bfdd"} {
		if err := l.start(topology.Router+"-"+daemon, topology.Router, "/usr/lib/frr/"+daemon, "-N", topology.Router, "-f", config, "--log", "stdout"); err != nil {
			return err
		}
	}
	return nil
}
