// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"k8s.io/client-go/rest"

	"metalsuite.io/test/lab/internal/checkout"
	"metalsuite.io/test/lab/internal/cluster"
	"metalsuite.io/test/lab/internal/netspace"
	"metalsuite.io/test/lab/internal/topology"
)

// Lab is a running lab.
type Lab struct {
	variables map[string]string
}

// Open finds the lab of the checkout that holds the working folder. It is an error if `lab up` has not been run there.
func Open() (*Lab, error) {
	root, err := checkout.Root()
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(checkout.Env(root))
	if errors.Is(err, os.ErrNotExist) {
		return nil, errors.New("no lab runs: start one with `make lab-up`")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the lab's interface: %w", err)
	}
	lab := &Lab{variables: parse(string(content))}
	for _, host := range append(lab.Nodes(), lab.Client(), lab.Stranger(), lab.RoutedClient(), lab.Router(), lab.SecondRouter()) {
		if !netspace.Exists(host.Name) {
			return nil, fmt.Errorf("the lab of %s is gone, host %q is missing: start it with `make lab-up`", root, host.Name)
		}
	}
	return lab, nil
}

// parse reads lines of the form: export NAME='value'.
func parse(env string) map[string]string {
	variables := map[string]string{}
	for line := range strings.Lines(env) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if ok {
			variables[name] = strings.Trim(value, "'")
		}
	}
	return variables
}

// Variable returns a variable of the lab's interface, "" if it has no such.
func (l *Lab) Variable(name string) string { return l.variables[name] }

// Kubeconfig is the path of a file that works inside any namespace of the lab.
func (l *Lab) Kubeconfig() string { return l.variables["KUBECONFIG"] }

// RESTConfig works in the machine's own namespace, as an administrator: it opens its connections inside the lab.
func (l *Lab) RESTConfig() (*rest.Config, error) {
	content, err := os.ReadFile(l.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("reading the lab's kubeconfig: %w", err)
	}
	return cluster.RESTConfig(content, topology.ControlPlane)
}

// Nodes lists the nodes' hosts; a host's name is the node's name.
func (l *Lab) Nodes() []Host {
	var hosts []Host
	for _, name := range strings.Fields(l.variables["LAB_NODES"]) {
		hosts = append(hosts, Host{Name: name})
	}
	return hosts
}

// Node is the host of that name.
func (l *Lab) Node(name string) Host { return Host{Name: name} }

// Client is the client on the segment.
func (l *Lab) Client() Host { return Host{Name: l.variables["LAB_CLIENT"]} }

// RoutedClient is the client behind the router, with no leg on the segment.
func (l *Lab) RoutedClient() Host { return Host{Name: l.variables["LAB_CLIENT_ROUTED"]} }

// Router is the router of the segment.
func (l *Lab) Router() Host { return Host{Name: l.variables["LAB_ROUTER"]} }

// Pool4 holds addresses of the segment that no host has.
func (l *Lab) Pool4() netip.Prefix { return netip.MustParsePrefix(l.variables["LAB_POOL4"]) }

// Pool6 holds addresses of the segment that no host has.
func (l *Lab) Pool6() netip.Prefix { return netip.MustParsePrefix(l.variables["LAB_POOL6"]) }

// SecondPool4 holds addresses of the second segment, eth1, that no host has.
func (l *Lab) SecondPool4() netip.Prefix { return netip.MustParsePrefix(l.variables["LAB_POOL4_2"]) }

// SecondPool6 holds addresses of the second segment, eth1, that no host has.
func (l *Lab) SecondPool6() netip.Prefix { return netip.MustParsePrefix(l.variables["LAB_POOL6_2"]) }

// Cut takes the carrier from the node's link on the segment.
func (l *Lab) Cut(ctx context.Context, node string) error { return cluster.Cut(ctx, node) }

// CutSilently blocks the node's port of the segment; its carrier stays.
func (l *Lab) CutSilently(ctx context.Context, node string) error {
	return cluster.CutSilently(ctx, node)
}

// Heal ends either cut; it is no error if there is none.
func (l *Lab) Heal(ctx context.Context, node string) error { return cluster.Heal(ctx, node) }

// LoadImage imports an image tar, as docker save writes it, on every node.
func (l *Lab) LoadImage(ctx context.Context, tar string) error {
	nodes := make([]topology.Node, 0, len(l.Nodes()))
	for _, host := range l.Nodes() {
		nodes = append(nodes, topology.Node{Host: topology.Host{Name: host.Name}})
	}
	return cluster.LoadImage(ctx, nodes, tar)
}

// NodeOfMAC says which node has that hardware address on eth0 or eth1; ok is false if none has.
func (l *Lab) NodeOfMAC(mac net.HardwareAddr) (node string, ok bool, err error) {
	for _, host := range l.Nodes() {
		for _, link := range []string{Segment, SecondSegment} {
			own, err := host.MAC(link)
			if err != nil {
				return "", false, err
			}
			if own.String() == mac.String() {
				return host.Name, true, nil
			}
		}
	}
	return "", false, nil
}
