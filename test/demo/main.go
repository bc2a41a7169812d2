// SPDX-License-Identifier: Apache-2.0

// Command demo shows the main job of the suite on real input, with one command: a real Kubernetes on this machine, the operator
// installed, one MetalLB resource, a pool, an HTTP Service of three replicas, packets seen from a client, a failover.
//
// It leaves the lab up and ends with the line "demo: ok"; any step that fails ends it with exit code 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"metalsuite.io/test/demo/steps"
	"metalsuite.io/test/suite"
)

const (
	namespace = "hello-kubernetes"
	app       = "hello"
)

func main() {
	d := &demo{Demo: steps.Demo{Namespace: namespace, App: app}}
	d.Main("demo", lookAround, d.run)
}

// lookAround are the commands that show more, on the lab that is still up.
const lookAround = `  $LAB_KUBECTL get metallb -A
  $LAB_KUBECTL get services -A
  $LAB_KUBECTL -n metallb-system get pods,servicel2statuses,configurationstates -o wide
  ip netns exec $LAB_CLIENT ip neighbour
`

// demo is the state between steps, and what the table shows.
type demo struct {
	steps.Demo
	addr  netip.Addr
	owner string
}

func (d *demo) run(ctx context.Context) error {
	return d.Run(ctx,
		steps.Step{Name: "start a Kubernetes of three nodes", Run: d.LabUp},
		steps.Step{Name: "install the operator", Run: d.install},
		steps.Step{Name: "apply one MetalLB resource", Run: d.metallb},
		steps.Step{Name: "create a pool and an L2Advertisement", Run: d.pool},
		steps.Step{Name: "deploy three HTTP servers", Run: d.Deploy},
		steps.Step{Name: "create a LoadBalancer Service", Run: d.service},
		steps.Step{Name: "resolve its address by ARP", Run: d.askARP},
		steps.Step{Name: "HTTP from the client", Run: d.http},
		steps.Step{Name: "cut the owner's link", Run: d.cut},
		steps.Step{Name: "HTTP from the client", Run: d.http},
		steps.Step{Name: "restore the link", Run: d.heal},
	)
}

func (d *demo) install(ctx context.Context) (string, error) {
	return "kubectl apply -k config/default; the operator is available", d.Suite.Install(ctx)
}

func (d *demo) metallb(ctx context.Context) (string, error) {
	begin := time.Now()
	if err := d.Suite.Apply(ctx, suite.MetalLB()); err != nil {
		return "", err
	}
	if err := d.Suite.AwaitAvailable(ctx, time.Minute); err != nil {
		return "", err
	}
	took := time.Since(begin)
	out, err := d.Suite.Kubectl(ctx, "", "get", "metallb", "-A")
	fmt.Print(out)
	return fmt.Sprintf("Available is True after %.1f s", took.Seconds()), err
}

func (d *demo) pool(ctx context.Context) (string, error) {
	first := d.Suite.Lab.Pool4().Masked().Addr().Next()
	pool := suite.Pool("ip-pool", fmt.Sprintf("%s-%s", first, first.Next().Next()))
	return "three addresses from " + first.String(),
		errors.Join(d.Suite.Apply(ctx, pool), d.Suite.Apply(ctx, suite.L2Advertisement("ip-pool-l2-adv", "ip-pool")))
}

func (d *demo) service(ctx context.Context) (string, error) {
	if err := d.Suite.Apply(ctx, suite.HelloService(namespace, app, app)); err != nil {
		return "", err
	}
	addresses, err := d.Suite.AwaitAddresses(ctx, namespace, app, 10*time.Second)
	if err != nil {
		return "", err
	}
	d.addr = addresses[0]
	return "EXTERNAL-IP " + d.addr.String(), nil
}

func (d *demo) askARP(ctx context.Context) (string, error) {
	node, mac, err := d.Suite.OneAnswer(ctx, d.addr, 10*time.Second, time.Second)
	d.owner = node
	return fmt.Sprintf("exactly one MAC answers for %s: %s (%s)", d.addr, mac, node), err
}

func (d *demo) http(ctx context.Context) (string, error) {
	line, err := d.Suite.Get(ctx, d.Suite.Lab.Client(), d.addr, 80, 10*time.Second)
	return "200: " + line + " through " + d.owner, err
}

func (d *demo) cut(ctx context.Context) (string, error) {
	move, err := d.Suite.Watch(ctx, d.addr, 15*time.Second, func(ctx context.Context) error { return d.Suite.Lab.Cut(ctx, d.owner) })
	d.owner = move.To
	return fmt.Sprintf("%s is silent for %.0f ms, then %s answers instead of %s", d.addr, float64(move.Silence.Microseconds())/1000, move.To, move.From), err
}

func (d *demo) heal(ctx context.Context) (string, error) {
	if err := d.HealLinks(ctx); err != nil {
		return "", err
	}
	return "all links are up", d.Suite.AwaitNodesReady(ctx, 2*time.Minute)
}
