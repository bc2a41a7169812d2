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
	"os"
	"os/signal"
	"slices"
	"syscall"
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
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	d := &demo{}
	err := d.run(ctx)
	d.Print()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo-bgp: failed:", err)
		os.Exit(1)
	}
	fmt.Print(lookAround)
	fmt.Println("demo-bgp: ok")
}

const lookAround = `
The lab is still up. To look around:

  source .lab/env
  $LAB_KUBECTL -n metallb-system get bgppeers,bgpadvertisements,bgpsessionstatuses,servicebgpstatuses
  vtysh -N $LAB_ROUTER -c 'show bgp summary'
  vtysh -N $LAB_ROUTER -c 'show ip bgp'
  ip -n $LAB_ROUTER route

To remove it: make lab-down

`

// demo is the state between steps, and what the table shows.
type demo struct {
	steps.Table
	suite *suite.Suite
	addr  netip.Addr
}

func (d *demo) run(ctx context.Context) error {
	return d.Run(ctx,
		steps.Step{Name: "start a Kubernetes of three nodes", Run: d.labUp},
		steps.Step{Name: "install the operator", Run: d.install},
		steps.Step{Name: "deploy three HTTP servers", Run: d.deploy},
		steps.Step{Name: "make an IPAddressPool of one address", Run: d.pool},
		steps.Step{Name: "make a BGPPeer and an advertisement", Run: d.peer},
		steps.Step{Name: "create a LoadBalancer Service", Run: d.service},
		steps.Step{Name: "ask FRR for the ways to its address", Run: d.ways},
		steps.Step{Name: "ask the router's kernel", Run: d.kernel},
		steps.Step{Name: "HTTP from behind the router", Run: d.http},
		steps.Step{Name: "cut a node's link", Run: d.cut},
		steps.Step{Name: "HTTP from behind the router", Run: d.http},
		steps.Step{Name: "give the link back", Run: d.heal},
	)
}

func (d *demo) labUp(ctx context.Context) (string, error) {
	var err error
	if d.suite, err = steps.LabUp(ctx); err != nil {
		return "", err
	}
	d.addr = netip.MustParseAddr("10.92.0.100")
	return fmt.Sprintf("%d nodes are Ready, the router runs FRR", len(d.suite.Lab.Nodes())), nil
}

func (d *demo) install(ctx context.Context) (string, error) {
	if err := errors.Join(d.suite.Install(ctx), d.suite.Apply(ctx, suite.MetalLB())); err != nil {
		return "", err
	}
	return "one MetalLB resource; Available is True", d.suite.AwaitAvailable(ctx, 2*patience)
}

func (d *demo) deploy(ctx context.Context) (string, error) {
	err := errors.Join(d.suite.Apply(ctx, suite.HelloNamespace(namespace)), d.suite.Apply(ctx, suite.HelloDeployment(namespace, app, 3)))
	if err != nil {
		return "", err
	}
	return "3 replicas are available", d.suite.AwaitDeployment(ctx, namespace, app, 2*patience)
}

// apply hands a manifest to kubectl, as the guide's reader does.
func (d *demo) apply(ctx context.Context, manifest string) error {
	fmt.Print(manifest)
	out, err := d.suite.Kubectl(ctx, manifest, "apply", "-f", "-")
	fmt.Print(out)
	return err
}

func (d *demo) pool(ctx context.Context) (string, error) {
	return d.addr.String() + ", for Services of type httpd in one namespace", d.apply(ctx, fmt.Sprintf(poolManifest, d.addr, namespace))
}

func (d *demo) peer(ctx context.Context) (string, error) {
	if err := d.apply(ctx, fmt.Sprintf(peerManifest, d.suite.Lab.Router().Addr4())); err != nil {
		return "", err
	}
	err := suite.Await(ctx, patience, func(ctx context.Context) error {
		sessions, err := d.suite.Sessions(ctx, "mypeertest")
		up := 0
		for _, s := range sessions {
			if s.State == "Established" {
				up++
			}
		}
		if up < len(d.suite.Lab.Nodes()) {
			return errors.Join(fmt.Errorf("%d nodes have a session", up), err)
		}
		return err
	})
	out, errShow := d.suite.Kubectl(ctx, "", "-n", suite.Namespace, "get", "bgpsessionstatuses")
	fmt.Print(out)
	return "3 sessions are Established, from AS 1001 to AS 64999", errors.Join(err, errShow)
}

func (d *demo) service(ctx context.Context) (string, error) {
	if err := d.apply(ctx, fmt.Sprintf(serviceManifest, namespace, app, port)); err != nil {
		return "", err
	}
	addresses, err := d.suite.AwaitAddresses(ctx, namespace, "http-service", patience)
	if err == nil && !slices.Contains(addresses, d.addr) {
		err = fmt.Errorf("it got %v", addresses)
	}
	return "EXTERNAL-IP " + d.addr.String(), err
}

// ways waits until FRR has three ways, and shows them as the guide does.
func (d *demo) ways(ctx context.Context) (string, error) {
	prefix := netip.PrefixFrom(d.addr, 32)
	err := suite.Await(ctx, patience, func(ctx context.Context) error {
		paths, err := d.suite.Lab.FRR().Paths(ctx, prefix)
		used := 0
		for _, p := range paths {
			if p.Used && p.ASPath == "1001" {
				used++
			}
		}
		if used != len(d.suite.Lab.Nodes()) {
			return errors.Join(fmt.Errorf("FRR uses %d ways of %+v", used, paths), err)
		}
		return err
	})
	out, errShow := d.suite.Lab.FRR().Run(ctx, "show ip bgp")
	fmt.Print(out)
	return fmt.Sprintf("%s: three ways, equally good, path 1001", prefix), errors.Join(err, errShow)
}

func (d *demo) kernel(ctx context.Context) (string, error) {
	var hops []netip.Addr
	err := suite.Await(ctx, patience, func(context.Context) error {
		var err error
		if hops, err = d.suite.Lab.Router().NextHops(netip.PrefixFrom(d.addr, 32)); err == nil && len(hops) != len(d.suite.Lab.Nodes()) {
			err = fmt.Errorf("it sends packets to %v", hops)
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
		line, err := d.suite.Get(ctx, d.suite.Lab.RoutedClient(), d.addr, port, patience)
		if err != nil {
			return "", err
		}
		servers[line] = true
	}
	return fmt.Sprintf("%d pages, from %d servers", pages, len(servers)), nil
}

func (d *demo) cut(ctx context.Context) (string, error) {
	node := d.suite.Lab.Nodes()[0]
	address, prefix := node.Addr4(), netip.PrefixFrom(d.addr, 32)
	if err := d.suite.Lab.Cut(ctx, node.Name); err != nil {
		return "", err
	}
	begin := time.Now()
	err := suite.Await(ctx, patience, func(context.Context) error {
		hops, err := d.suite.Lab.Router().NextHops(prefix)
		if err == nil && slices.Contains(hops, address) {
			err = fmt.Errorf("it sends packets to %v", hops)
		}
		return err
	})
	return fmt.Sprintf("%s is no next hop any more after %.1f s (BFD, 300 ms x 3)", address, time.Since(begin).Seconds()), err
}

func (d *demo) heal(ctx context.Context) (string, error) {
	for _, node := range d.suite.Lab.Nodes() {
		if err := d.suite.Lab.Heal(ctx, node.Name); err != nil {
			return "", err
		}
	}
	seen, err := d.kernel(ctx)
	return seen, errors.Join(err, d.suite.AwaitNodesReady(ctx, 2*time.Minute))
}
