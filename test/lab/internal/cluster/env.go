// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"metalsuite.io/test/lab/internal/checkout"
	"metalsuite.io/test/lab/internal/netspace"
	"metalsuite.io/test/lab/internal/topology"
)

// Variables is the lab's interface for scripts, in the order of the file; the names are fixed.
func (l *Lab) Variables() [][2]string {
	state := checkout.State(l.Checkout)
	kubeconfig, tool := filepath.Join(state, "kubeconfig"), filepath.Join(state, "bin", "lab")
	var nodes []string
	for _, node := range l.Inputs.NodeList() {
		nodes = append(nodes, node.Name)
	}
	return [][2]string{
		{"KUBECONFIG", kubeconfig},
		{"LAB_NODES", strings.Join(nodes, " ")},
		{"LAB_CLIENT", topology.Client},
		{"LAB_CLIENT_ROUTED", topology.Routed},
		{"LAB_ROUTER", topology.Router},
		{"LAB_ROUTER_2", topology.SecondRouter},
		{"LAB_STRANGER", topology.Stranger},
		{"LAB_SEGMENT", topology.Segment},
		{"LAB_SUBNET4", topology.Subnet4.String()},
		{"LAB_SUBNET6", topology.Subnet6.String()},
		{"LAB_POOL4", topology.Pool4.String()},
		{"LAB_POOL6", topology.Pool6.String()},
		{"LAB_SUBNET4_2", topology.Second4.String()},
		{"LAB_POOL4_2", topology.SecondP4.String()},
		{"LAB_POOL6_2", topology.SecondP6.String()},
		{"LAB_POOL4_ROUTED", topology.Routed4.String()},
		{"LAB_POOL6_ROUTED", topology.Routed6.String()},
		{"LAB_KUBECTL", fmt.Sprintf("nsenter --net=%s %s --kubeconfig=%s", netspace.Path(topology.ControlPlane), l.binary("kubectl"), kubeconfig)},
		{"LAB_IMAGE_LOAD", tool + " load"},
		{"LAB_BIN", l.bin},
		{"LAB_AUDIT_LOG", auditLog},
	}
}

// writeInterface writes .lab/env, the kubeconfig, and this program itself, which LAB_IMAGE_LOAD calls.
func (l *Lab) writeInterface() error {
	state := checkout.State(l.Checkout)
	if err := copySelf(filepath.Join(state, "bin", "lab")); err != nil {
		return err
	}
	config, err := os.ReadFile(kubeconfigPath(admin))
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	var env strings.Builder
	for _, variable := range l.Variables() {
		fmt.Fprintf(&env, "export %s='%s'\n", variable[0], variable[1])
	}
	if err := writeFiles(map[string]string{filepath.Join(state, "kubeconfig"): string(config)}); err != nil {
		return err
	}
	return writeFiles(map[string]string{checkout.Env(l.Checkout): env.String()})
}

// copySelf replaces the copy by renaming, since the old one may be running.
func copySelf(to string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the own program: %w", err)
	}
	if self == to {
		return nil
	}
	from, err := os.Open(self)
	if err != nil {
		return fmt.Errorf("reading the own program: %w", err)
	}
	defer func() { _ = from.Close() }()
	if err := writeFiles(map[string]string{to + ".new": ""}); err != nil {
		return err
	}
	copied, err := os.OpenFile(to+".new", os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("copying the own program: %w", err)
	}
	_, err = io.Copy(copied, from)
	if err := errors.Join(err, copied.Chmod(0o755), copied.Close()); err != nil {
		return fmt.Errorf("copying the own program: %w", err)
	}
	return os.Rename(to+".new", to)
}
