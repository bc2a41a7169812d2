// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const (
	policyFile = "/usr/sbin/policy-rc.d"
	// policyText names its maker, so that one left by a killed run is known as ours.
	policyText = "#!/bin/sh\n# metalsuite-lab: no service starts while the lab installs packages\nexit 101\n"
)

// packages are the Debian packages that the lab runs on.
var packages = []string{
	"bird2", "ca-certificates", "conntrack", "containerd", "containernetworking-plugins", "frr", "iproute2", "iputils-ping", "ipset", "iptables", "kmod", "mount", "nftables", "runc", "tcpdump", "util-linux",
}

// InstallPackages installs the Debian packages that are missing. Packages that come with a service must not start it: the lab runs its own, with its own files.
func InstallPackages(ctx context.Context, logFile string, progress func(string, ...any)) error {
	missing := missingPackages(ctx)
	if len(missing) == 0 {
		return nil
	}
	progress("installing Debian packages: %s", strings.Join(missing, " "))
	restore, err := forbidServices()
	if err != nil {
		return err
	}
	defer restore()
	log, err := os.Create(logFile)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer func() { _ = log.Close() }()
	for _, args := range [][]string{{"update"}, append([]string{"install", "-y", "--no-install-recommends"}, missing...)} {
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", "DPkg::Lock::Timeout=120"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %s (log: %s): %w", args[0], logFile, err)
		}
	}
	return nil
}

func missingPackages(ctx context.Context) []string {
	// dpkg-query fails when one name is unknown, and still prints the others.
	out, _ := exec.CommandContext(ctx, "dpkg-query", append([]string{"-W", "-f", "${Package} ${db:Status-Abbrev}\n"}, packages...)...).Output()
	installed := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) == 2 && strings.HasPrefix(fields[1], "ii") {
			installed[fields[0]] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(packages), func(name string) bool { return installed[name] })
}

// forbidServices makes Debian's own hook refuse to start services, unless the machine has a policy already.
func forbidServices() (restore func(), err error) {
	if present, err := os.ReadFile(policyFile); err == nil && string(present) != policyText {
		return func() {}, nil
	}
	if err := os.WriteFile(policyFile, []byte(policyText), 0o755); err != nil {
		return nil, fmt.Errorf("forbidding services: %w", err)
	}
	return func() { _ = os.Remove(policyFile) }, nil
}
