// SPDX-License-Identifier: Apache-2.0

// Command bgp shows what SUSE Edge's guide to MetalLB in layer 3 mode does, on a real Kubernetes on this machine: a pool of one address, a
// BGPPeer, a BGPAdvertisement, an HTTP Service of three replicas. A router that runs FRR has three next hops for the address then, and a
// client behind it gets pages. Addresses and autonomous systems are those of the lab.
//
// It leaves the lab up and ends with the line "demo-bgp: ok"; any step that fails ends it with exit code 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"metalsuite.io/test/demo/steps"
	"metalsuite.io/test/suite"
)

const (
	namespace = "httpd"
	app       = "httpd"
	port      = 8080
	patience  = 30 * time.Second
)

func main() {
	d := &demo{Demo: steps.Demo{Namespace: namespace, App: app}}
	d.Main("demo-bgp", lookAround, d.run)
}

// lookAround are the commands that show more, on the lab that is still up.
const lookAround = `  $LAB_KUBECTL -n metallb-system get bgppeers,bgpadvertisements,bgpsessionstatuses,servicebgpstatuses
  vtysh -N $LAB_ROUTER -c 'show bgp summary'
  vtysh -N $LAB_ROUTER -c 'show ip bgp'
  ip -n $LAB_ROUTER route
`

// demo is the state between steps, and what the table shows.
type demo struct {
	steps.Demo
	addr netip.Addr
}

func (d *demo) run(ctx context.Context) error {
	return d.Run(ctx,
		steps.Step{Name: "start a Kubernetes of three nodes", Run: d.labUp},
		steps.Step{Name: "install the operator", Run: d.install},
		steps.Step{Name: "deploy three HTTP servers", Run: d.Deploy},
		steps.Step{Name: "create an IPAddressPool with one address", Run: d.pool},
		steps.Step{Name: "create a BGPPeer and an advertisement", Run: d.peer},
		steps.Step{Name: "create a LoadBalancer Service", Run: d.service},
		steps.Step{Name: "list the routes to its address in FRR", Run: d.ways},
		steps.Step{Name: "read the router's kernel routes", Run: d.kernel},
		steps.Step{Name: "HTTP from behind the router", Run: d.http},
		steps.Step{Name: "cut a node's link", Run: d.cut},
		steps.Step{Name: "HTTP from behind the router", Run: d.http},
		steps.Step{Name: "restore the link", Run: d.heal},
	)
}

func (d *demo) labUp(ctx context.Context) (string, error) {
	d.addr = netip.MustParseAddr("10.92.0.100")
	seen, err := d.LabUp(ctx)
	return seen + ", the router runs FRR", err
}

func (d *demo) install(ctx context.Context) (string, error) {
	if err := errors.Join(d.Suite.Install(ctx), d.Suite.Apply(ctx, suite.MetalLB())); err != nil {
		return "", err
	}
	return "one MetalLB resource; Available is True", d.Suite.AwaitAvailable(ctx, 2*patience)
}

// apply hands a manifest to kubectl, as the guide's reader does.
func (d *demo) apply(ctx context.Context, manifest string) error {
	fmt.Print(manifest)
	out, err := d.Suite.Kubectl(ctx, manifest, "apply", "-f", "-")
	fmt.Print(out)
	return err
}

func (d *demo) pool(ctx context.Context) (string, error) {
	return d.addr.String() + ", for Services of type httpd in one namespace", d.apply(ctx, fmt.Sprintf(poolManifest, d.addr, namespace))
}

func (d *demo) peer(ctx context.Context) (string, error) {
	if err := d.apply(ctx, fmt.Sprintf(peerManifest, d.Suite.Lab.Router().Addr4())); err != nil {
		return "", err
	}
	err := suite.Await(ctx, patience, func(ctx context.Context) error {
		sessions, err := d.Suite.Sessions(ctx, "mypeertest")
		up := 0
		for _, s := range sessions {
			if s.State == "Established" {
				up++
			}
		}
		if up < len(d.Suite.Lab.Nodes()) {
			return errors.Join(fmt.Errorf("%d nodes have a session", up), err)
		}
		return err
	})
	out, errShow := d.Suite.Kubectl(ctx, "", "-n", suite.Namespace, "get", "bgpsessionstatuses")
	fmt.Print(out)
	return "3 sessions are Established, from AS 1001 to AS 64999", errors.Join(err, errShow)
}

func (d *demo) service(ctx context.Context) (string, error) {
	if err := d.apply(ctx, fmt.Sprintf(serviceManifest, namespace, app, port)); err != nil {
		return "", err
	}
	addresses, err := d.Suite.AwaitAddresses(ctx, namespace, "http-service", patience)
	if err == nil && !slices.Contains(addresses, d.addr) {
		err = fmt.Errorf("the Service has the addresses %v", addresses)
	}
	return "EXTERNAL-IP " + d.addr.String(), err
}

// ways waits until FRR has three ways, and shows them as the guide does.
func (d *demo) ways(ctx context.Context) (string, error) {
	prefix := netip.PrefixFrom(d.addr, 32)
	err := suite.Await(ctx, patience, func(ctx context.Context) error {
		paths, err := d.Suite.Lab.FRR().Paths(ctx, prefix)
		used := 0
		for _, p := range paths {
			if p.Used && p.ASPath == "1001" {
				used++
			}
		}
		if used != len(d.Suite.Lab.Nodes()) {
			return errors.Join(fmt.Errorf("FRR uses %d paths of %+v", used, paths), err)
		}
		return err
	})
	out, errShow := d.Suite.Lab.FRR().Run(ctx, "show ip bgp")
	fmt.Print(out)
	return fmt.Sprintf("%s: three equal-cost paths, AS_PATH 1001", prefix), errors.Join(err, errShow)
}

func (d *demo) kernel(ctx context.Context) (string, error) {
	var hops []netip.Addr
	err := suite.Await(ctx, patience, func(context.Context) error {
		var err error
		if hops, err = d.Suite.Lab.Router().NextHops(netip.PrefixFrom(d.addr, 32)); err == nil && len(hops) != len(d.Suite.Lab.Nodes()) {
			err = fmt.Errorf("the next hops are %v", hops)
		}
		return err
	})
	return fmt.Sprintf("next hops %v", hops), err
}

// http asks for a number of pages: the router chooses a next hop for each connection.
func (d *demo) http(ctx context.Context) (string, error) {
	const pages = 20
	servers := map[string]bool{}
	for range pages {
		line, err := d.Suite.Get(ctx, d.Suite.Lab.RoutedClient(), d.addr, port, patience)
		if err != nil {
			return "", err
		}
		servers[line] = true
	}
	return fmt.Sprintf("%d pages, from %d servers", pages, len(servers)), nil
}

func (d *demo) cut(ctx context.Context) (string, error) {
	node := d.Suite.Lab.Nodes()[0]
	address, prefix := node.Addr4(), netip.PrefixFrom(d.addr, 32)
	if err := d.Suite.Lab.Cut(ctx, node.Name); err != nil {
		return "", err
	}
	begin := time.Now()
	err := suite.Await(ctx, patience, func(context.Context) error {
		hops, err := d.Suite.Lab.Router().NextHops(prefix)
		if err == nil && slices.Contains(hops, address) {
			err = fmt.Errorf("the next hops are %v", hops)
		}
		return err
	})
	return fmt.Sprintf("%s is removed from the next hops after %.1f s (BFD, 300 ms x 3)", address, time.Since(begin).Seconds()), err
}

func (d *demo) heal(ctx context.Context) (string, error) {
	if err := d.HealLinks(ctx); err != nil {
		return "", err
	}
	seen, err := d.kernel(ctx)
	return seen, errors.Join(err, d.Suite.AwaitNodesReady(ctx, 2*time.Minute))
}
