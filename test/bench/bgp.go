// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"metalsuite.io/api/v1beta2"
	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

const (
	bgpPool = "bench-bgp"
	bgpPeer = "bench"
	// bgpTrials is how often a next hop is lost.
	bgpTrials = 20
	// lookEvery is how often the router's kernel is asked.
	lookEvery = time.Millisecond
)

// routed is address number n of those that are on no segment.
func (b bench) routed(n int) netip.Addr { return nth(b.Lab.RoutedPool4(), n) }

func prefixOf(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// advertised makes the pool of the addresses on no segment, and an advertisement of it.
func (b bench) advertised(ctx context.Context) error {
	return errors.Join(b.Apply(ctx, suite.Pool(bgpPool, b.Lab.RoutedPool4().String())), b.Apply(ctx, suite.BGPAdvertisement(bgpPool, bgpPool)))
}

// router is the router as a peer of every node, with BFD unless the interval is 0.
func (b bench) router(interval uint32) *v1beta2.BGPPeer {
	peer := suite.BGPPeer(bgpPeer, lab.RouterASN, b.Lab.Router().Addr4())
	if interval > 0 {
		peer.Spec.BFDProfile = bgpPeer
	}
	return peer
}

// peered makes the router a peer of every node, with BFD at an interval unless that is 0, in both directions.
func (b bench) peered(ctx context.Context, interval uint32) error {
	if interval > 0 {
		if err := errors.Join(b.Apply(ctx, suite.BFDProfile(bgpPeer, interval, 3)), b.routerBFD(ctx, interval)); err != nil {
			return err
		}
	}
	return b.Apply(ctx, b.router(interval))
}

// unpeered ends peered.
func (b bench) unpeered(ctx context.Context) error {
	return errors.Join(
		b.Gone(ctx, b.router(0), limit), b.Gone(ctx, suite.BFDProfile(bgpPeer, 300, 3), limit), b.Lab.FRR().Restore(ctx))
}

// routerBFD lets the router send and receive at an interval.
func (b bench) routerBFD(ctx context.Context, interval uint32) error {
	err := b.Lab.FRR().Configure(ctx, "bfd", "profile bench", fmt.Sprintf("transmit-interval %d", interval), fmt.Sprintf("receive-interval %d", interval), "detect-multiplier 3", "exit", "exit")
	return errors.Join(err, b.Lab.FRR().Neighbour(ctx, "neighbor N bfd profile bench"))
}

// hops waits until the router's kernel sends packets for an address as is wanted, and returns when that was seen first.
func hops(ctx context.Context, routes *lab.Routes, address netip.Addr, want func([]netip.Addr) bool) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*limit)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		seen, err := routes.NextHops(prefixOf(address))
		switch now := time.Now(); {
		case err != nil:
			return now, err
		case want(seen):
			return now, nil
		}
		select {
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("the router sends packets for %s to %v: %w", address, seen, ctx.Err())
		case <-tick.C:
		}
	}
}

// all wants a next hop for every node.
func (b bench) all(seen []netip.Addr) bool { return len(seen) == len(b.Lab.Nodes()) }

// bgpFailovers measures from a cut of a node's link that nobody is told of, until the router's kernel sends nothing to the node any more.
func (b bench) bgpFailovers(ctx context.Context) error {
	const name = "bench-bgp-failover"
	if err := errors.Join(b.advertised(ctx), b.Apply(ctx, b.asking(name, corev1.IPFamilyPolicySingleStack, b.routed(1)))); err != nil {
		return err
	}
	for _, interval := range []uint32{50, 300} {
		if err := b.peered(ctx, interval); err != nil {
			return err
		}
		err := b.lose(ctx, interval, fmt.Sprintf("BGP, node cut off silently, BFD %d ms x 3 -> next hop gone from the router's kernel", interval),
			b.Lab.CutSilently, func(ctx context.Context, node string) error { return b.Lab.Heal(ctx, node) })
		if err := errors.Join(err, b.unpeered(ctx)); err != nil {
			return err
		}
	}
	return b.Gone(ctx, suite.HelloService(namespace, name, app), limit)
}

// lose takes one node after the other from the router and measures how long that takes, and how long the return. The peer is made anew each
// time, since the wait before a session is begun again grows when it is lost often.
func (b bench) lose(ctx context.Context, interval uint32, name string, act, undo func(context.Context, string) error) error {
	routes, err := b.Lab.Router().Routes()
	if err != nil {
		return err
	}
	defer routes.Close()
	var gone, back []time.Duration
	for trial := range bgpTrials {
		node := b.Lab.Nodes()[trial%len(b.Lab.Nodes())]
		own := node.Addr4()
		if err := b.watched(ctx, routes); err != nil {
			return err
		}
		begin := time.Now()
		if err := act(ctx, node.Name); err != nil {
			return err
		}
		at, err := hops(ctx, routes, b.routed(1), func(seen []netip.Addr) bool { return !slices.Contains(seen, own) })
		if err := errors.Join(err, undo(ctx, node.Name)); err != nil {
			return err
		}
		healed := time.Now()
		returned, err := hops(ctx, routes, b.routed(1), b.all)
		if err != nil {
			return err
		}
		gone, back = append(gone, at.Sub(begin)), append(back, returned.Sub(healed))
		if err := errors.Join(b.Gone(ctx, b.router(interval), limit), b.Apply(ctx, b.router(interval))); err != nil {
			return err
		}
	}
	figure(name, gone)
	figure("of that, the way back until it is a next hop again", back)
	return nil
}

// watched waits until every node is a next hop, and BFD, if there is any, watches it.
func (b bench) watched(ctx context.Context, routes *lab.Routes) error {
	if _, err := hops(ctx, routes, b.routed(1), b.all); err != nil {
		return err
	}
	return suite.Await(ctx, 2*limit, func(ctx context.Context) error {
		sessions, err := b.Sessions(ctx, bgpPeer)
		if err != nil {
			return err
		}
		up := 0
		for _, s := range sessions {
			if s.State == "Established" && (s.BFD == nil || s.BFD.State == "Up") {
				up++
			}
		}
		if up != len(b.Lab.Nodes()) {
			return fmt.Errorf("%d sessions are up", up)
		}
		return nil
	})
}

// bgpKills measures from the SIGKILL of a speaker until the router's kernel sends nothing to its node any more, without BFD and without
// graceful restart: the kernel closes the connections.
func (b bench) bgpKills(ctx context.Context) error {
	const name = "bench-bgp-kill"
	if err := errors.Join(b.advertised(ctx), b.Apply(ctx, b.asking(name, corev1.IPFamilyPolicySingleStack, b.routed(1))), b.peered(ctx, 0)); err != nil {
		return err
	}
	err := b.lose(ctx, 0, "BGP, SIGKILL of the speaker -> next hop gone from the router's kernel", b.killSpeaker, b.renewSpeaker)
	return errors.Join(err, b.unpeered(ctx), b.Gone(ctx, suite.HelloService(namespace, name, app), limit))
}

func (b bench) speakerOn(ctx context.Context, node string) (*corev1.Pod, error) {
	pods, err := b.Speakers(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName == node })
	if i < 0 {
		return nil, fmt.Errorf("no speaker runs on node %s", node)
	}
	return &pods[i], nil
}

// killSpeaker kills the first process of a speaker's container.
func (b bench) killSpeaker(ctx context.Context, node string) error {
	pod, err := b.speakerOn(ctx, node)
	if err != nil {
		return err
	}
	container, err := suite.ContainerOf(pod)
	if err != nil {
		return err
	}
	processes, err := container.Processes()
	if err != nil || len(processes) == 0 {
		return errors.Join(err, fmt.Errorf("the speaker of node %s has %d processes", node, len(processes)))
	}
	if err := unix.Kill(slices.Min(processes), unix.SIGKILL); err != nil {
		return fmt.Errorf("killing the speaker of node %s: %w", node, err)
	}
	return nil
}

// renewSpeaker replaces a pod whose container was killed: the kubelet waits longer from time to time before it starts one again.
func (b bench) renewSpeaker(ctx context.Context, node string) error {
	var pods corev1.PodList
	if err := b.Client.List(ctx, &pods, ofSpeaker...); err != nil {
		return fmt.Errorf("listing speakers: %w", err)
	}
	for i := range pods.Items {
		if pods.Items[i].Spec.NodeName == node {
			if err := b.Gone(ctx, &pods.Items[i], limit); err != nil {
				return err
			}
		}
	}
	return nil
}

// bgpServices measures from the creation of a Service until a router's kernel has a route to it, and until that has every node. FRR waits by
// itself, 50 ms before it looks at what came and 10 ms before it looks at what is to go into the kernel; BIRD does not.
func (b bench) bgpServices(ctx context.Context) error {
	bird := suite.BGPPeer(bgpPeer+"-bird", lab.SecondRouterASN, b.Lab.SecondRouter().Addr4())
	if err := errors.Join(b.advertised(ctx), b.peered(ctx, 0), b.Apply(ctx, bird.DeepCopy())); err != nil {
		return err
	}
	for i, router := range []struct {
		name string
		host lab.Host
	}{{"FRR", b.Lab.Router()}, {"BIRD", b.Lab.SecondRouter()}} {
		if err := b.bgpService(ctx, router.name, router.host, 1000*(i+1)); err != nil {
			return err
		}
	}
	return errors.Join(b.Gone(ctx, bird, limit), b.unpeered(ctx))
}

func (b bench) bgpService(ctx context.Context, router string, host lab.Host, from int) error {
	routes, err := host.Routes()
	if err != nil {
		return err
	}
	defer routes.Close()
	var first, every []time.Duration
	// The first Service is not counted: sessions may still be on their way.
	for i := range creations + 1 {
		name, address := fmt.Sprintf("bench-bgp-%d", i), b.routed(from+i)
		begin := time.Now()
		if err := b.Client.Create(ctx, b.asking(name, corev1.IPFamilyPolicySingleStack, address)); err != nil {
			return fmt.Errorf("creating %s: %w", name, err)
		}
		one, err := hops(ctx, routes, address, func(seen []netip.Addr) bool { return len(seen) > 0 })
		if err != nil {
			return err
		}
		three, err := hops(ctx, routes, address, b.all)
		if err := errors.Join(err, b.Gone(ctx, suite.HelloService(namespace, name, app), limit)); err != nil {
			return err
		}
		if i > 0 {
			first, every = append(first, one.Sub(begin)), append(every, three.Sub(begin))
		}
	}
	figure("BGP, Service created -> route in the kernel of "+router, first)
	figure("BGP, Service created -> every node is a next hop in the kernel of "+router, every)
	return nil
}
