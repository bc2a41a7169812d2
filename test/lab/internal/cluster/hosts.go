// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"

	"golang.org/x/sync/errgroup"

	"metalsuite.io/test/lab/internal/machine"
	"metalsuite.io/test/lab/internal/netspace"
	"metalsuite.io/test/lab/internal/topology"
)

// makeHosts makes every namespace, link, address and route.
func (l *Lab) makeHosts(ctx context.Context) error {
	for _, name := range l.Inputs.Namespaces() {
		if err := machine.AddNamespace(ctx, name); err != nil {
			return err
		}
		if err := netspace.Sysctl(name, topology.Sysctls(name)); err != nil {
			return err
		}
	}
	segment := topology.SegmentScript()
	for _, host := range l.Inputs.Hosts() {
		segment = append(segment, topology.PortScript(host)...)
	}
	if err := netspace.Batch(ctx, topology.Segment, segment); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, host := range l.Inputs.Hosts() {
		group.Go(func() error {
			return netspace.Batch(ctx, host.Name, append(topology.HostScript(host), l.Inputs.PodRouteScript(host)...))
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return nil
}

// makeRouted makes the router's other links: to the client behind it, and to each node.
func (l *Lab) makeRouted(ctx context.Context) error {
	if err := netspace.Batch(ctx, topology.Router, l.Inputs.RouterScript()); err != nil {
		return err
	}
	for _, node := range l.Inputs.NodeList() {
		if err := netspace.Batch(ctx, node.Name, topology.UplinkScript()); err != nil {
			return err
		}
	}
	return netspace.Batch(ctx, topology.Routed, topology.RoutedScript())
}
