// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"metalsuite.io/test/lab/internal/machine"
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
	if err := writeFiles(map[string]string{frrConfigFile(): frrConfig(), filepath.Join(folders[0], "vtysh.conf"): ""}); err != nil {
		return err
	}
	if err := netspace.Run(exec.CommandContext(ctx, "chown", append([]string{"-R", "frr:frr"}, folders...)...)); err != nil {
		return err
	}
	for _, daemon := range []string{"zebra", "bgpd", "bfdd"} {
		if err := l.startFRR(daemon); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) startFRR(daemon string) error {
	return l.start(frrName(daemon), topology.Router, "/usr/lib/frr/"+daemon, "-N", topology.Router, "-f", frrConfigFile(), "--log", "stdout")
}

func frrName(daemon string) string { return topology.Router + "-" + daemon }

// StopRouting ends one of FRR's daemons, without a word to its peers, and StartRouting starts it again with the configuration of the beginning.
func StopRouting(ctx context.Context, daemon string) error { return machine.Kill(ctx, frrName(daemon)) }

// StartRouting ends StopRouting; it is no error if the daemon runs.
func (l *Lab) StartRouting(daemon string) error {
	if machine.Alive(frrName(daemon)) {
		return nil
	}
	return l.startFRR(daemon)
}

func frrConfigFile() string { return filepath.Join(frrFolders()[0], "frr.conf") }

// RestoreRouter gives FRR the configuration that it began with: what was added is gone, sessions begin anew. It waits for a daemon that is starting.
func RestoreRouter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var last error
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		last = restoreRouter(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("restoring the router's configuration: %w", errors.Join(last, err))
	}
	return nil
}

func restoreRouter(ctx context.Context) error {
	running, err := Vtysh(ctx, "-c", "show running-config")
	if err != nil {
		return err
	}
	for _, line := range leftOvers(running) {
		if _, err := Vtysh(ctx, "-c", "configure terminal", "-c", "no "+line); err != nil {
			return err
		}
	}
	_, err = Vtysh(ctx, "-f", frrConfigFile())
	return err
}

// leftOvers are the lines of a running configuration with whose removal the sections below them go.
func leftOvers(running string) []string {
	var lines []string
	for line := range strings.Lines(running) {
		line = strings.TrimRight(line, "\r\n")
		for _, section := range []string{"router bgp ", "ip prefix-list ", "ipv6 prefix-list ", "route-map "} {
			if line == "bfd" || strings.HasPrefix(line, section) {
				lines = append(lines, line)
				break
			}
		}
	}
	return lines
}

// Vtysh runs FRR's shell and returns what it prints, warnings among it. What FRR does not take is an error.
func Vtysh(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "vtysh", append([]string{"-N", topology.Router}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("vtysh %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()+out.String()))
	}
	return out.String(), nil
}
