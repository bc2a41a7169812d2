// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

var ofSpeaker = []client.ListOption{client.InNamespace(suite.Namespace), client.MatchingLabels{"app.kubernetes.io/component": "speaker"}}

// bgpLoad measures how soon two routers have 10,000 routes that a node is told to announce at once, and what the speaker holds then.
func (b bench) bgpLoad(ctx context.Context, trials int) error {
	l := load{bench: b, namespace: "bench-bgp-load", services: 10000, clients: 16, labels: unproxied}
	// Services without a pool of their own would take the addresses of the segment.
	pool := suite.Pool(bgpPool, b.Lab.RoutedPool4().String())
	pool.Spec.ServiceAllocation = &v1beta1.ServiceAllocation{Priority: 1, Namespaces: []string{l.namespace}}
	if err := b.Apply(ctx, pool); err != nil {
		return err
	}
	// Endpoints come first, since speakers tell of each Service that has none.
	if err := errors.Join(b.Apply(ctx, suite.HelloNamespace(l.namespace)), l.served(ctx)); err != nil {
		return err
	}
	if _, _, err := l.create(ctx); err != nil {
		return err
	}
	for _, nodes := range []int{1, len(b.Lab.Nodes())} {
		if err := l.converge(ctx, nodes, trials); err != nil {
			return err
		}
	}
	return b.Gone(ctx, suite.HelloNamespace(l.namespace), 10*limit)
}

// served gives every Service an endpoint, which Kubernetes would take minutes for.
func (l load) served(ctx context.Context) error {
	err := l.each(func(i int) error {
		return l.Client.Create(ctx, &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Name: l.service(i).Name, Namespace: l.namespace, Labels: map[string]string{discoveryv1.LabelServiceName: l.service(i).Name},
			},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.244.1.250"}, NodeName: ptr.To(l.Lab.Nodes()[0].Name)}},
			Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(int32(8080)), Protocol: ptr.To(corev1.ProtocolTCP)}},
		})
	})
	if err != nil {
		return fmt.Errorf("giving %d Services endpoints: %w", l.services, err)
	}
	return nil
}

// routers are the two peers of a load.
func (b bench) routers(nodes int) []*v1beta2.BGPPeer {
	peers := []*v1beta2.BGPPeer{
		suite.BGPPeer(bgpPeer, lab.RouterASN, b.Lab.Router().Addr4()),
		suite.BGPPeer(bgpPeer+"-bird", lab.SecondRouterASN, b.Lab.SecondRouter().Addr4()),
	}
	for _, p := range peers {
		for _, node := range b.Lab.Nodes()[:nodes] {
			p.Spec.NodeSelectors = append(p.Spec.NodeSelectors, metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelHostname: node.Name}})
		}
	}
	return peers
}

// converge advertises all the Services at once, from a number of nodes, and withdraws them.
func (l load) converge(ctx context.Context, nodes, trials int) error {
	peers := l.routers(nodes)
	for _, p := range peers {
		if err := l.Apply(ctx, p.DeepCopy()); err != nil {
			return err
		}
	}
	for _, p := range peers {
		if err := l.up(ctx, p.Name, nodes); err != nil {
			return err
		}
	}
	if err := l.known(ctx, 0); err != nil {
		return err
	}
	name := fmt.Sprintf("10,000 Services, %d node(s), 2 peers: ", nodes)
	idle, err := l.speakerOnMemory(ctx)
	report(name+"speaker's memory with its children before", "MiB", []float64{idle})
	var there, gone, memory, rested []float64
	for trial := range trials {
		begin := time.Now()
		if err := errors.Join(err, l.Apply(ctx, suite.BGPAdvertisement(bgpPool, bgpPool)), l.known(ctx, l.services)); err != nil {
			return err
		}
		there = append(there, time.Since(begin).Seconds())
		held, err := l.speakerOnMemory(ctx)
		if err != nil {
			return err
		}
		memory = append(memory, held)
		if trial == trials-1 {
			if err := pause(ctx, quiet); err != nil {
				return err
			}
			held, err := l.speakerOnMemory(ctx)
			if err != nil {
				return err
			}
			rested = append(rested, held)
		}
		begin = time.Now()
		if err := errors.Join(l.Gone(ctx, suite.BGPAdvertisement(bgpPool), limit), l.known(ctx, 0)); err != nil {
			return err
		}
		gone = append(gone, time.Since(begin).Seconds())
	}
	report(name+"advertisement created -> both routers' kernels have all routes", "s", there)
	report(name+"advertisement deleted -> both routers' kernels have none", "s", gone)
	report(name+"speaker's memory with its children, all announced just now", "MiB", memory)
	report(name+fmt.Sprintf("speaker's memory with its children, %s later", quiet), "MiB", rested)
	for _, p := range peers {
		err = errors.Join(err, l.Gone(ctx, p, limit))
	}
	return err
}

// up waits until so many nodes have a session with a peer.
func (b bench) up(ctx context.Context, peer string, nodes int) error {
	return suite.Await(ctx, 2*limit, func(ctx context.Context) error {
		sessions, err := b.Sessions(ctx, peer)
		up := 0
		for _, s := range sessions {
			if s.State == "Established" {
				up++
			}
		}
		if up != nodes {
			return errors.Join(fmt.Errorf("%d sessions with %s are up", up, peer), err)
		}
		return err
	})
}

// known waits until both routers' kernels have so many routes to the Services.
func (l load) known(ctx context.Context, want int) error {
	for host, protocol := range map[lab.Host]int{l.Lab.Router(): lab.ProtocolFRR, l.Lab.SecondRouter(): lab.ProtocolBird} {
		routes, err := host.Routes()
		if err != nil {
			return err
		}
		err = suite.Await(ctx, 5*limit, func(context.Context) error {
			n, err := routes.Count(l.Lab.RoutedPool4(), protocol)
			if err == nil && n != want {
				err = fmt.Errorf("%s has %d routes, want %d", host.Name, n, want)
			}
			return err
		})
		routes.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// speakerOnMemory is what the speaker of the first node holds, in mebibytes.
func (b bench) speakerOnMemory(ctx context.Context) (float64, error) {
	pod, err := b.speakerOn(ctx, b.Lab.Nodes()[0].Name)
	if err != nil {
		return 0, err
	}
	container, err := suite.ContainerOf(pod)
	if err != nil {
		return 0, err
	}
	return container.Memory()
}

// bfdHolds finds the smallest interval of BFD that holds while all of the machine's cores are busy: the sessions of every node with the
// router must not go down for BFD_SOAK (5m).
func (b bench) bfdHolds(ctx context.Context) error {
	during := 5 * time.Minute
	if value := os.Getenv("BFD_SOAK"); value != "" {
		var err error
		if during, err = time.ParseDuration(value); err != nil {
			return fmt.Errorf("reading BFD_SOAK: %w", err)
		}
	}
	const name = "bench-bfd-holds"
	if err := errors.Join(b.advertised(ctx), b.Apply(ctx, b.asking(name, corev1.IPFamilyPolicySingleStack, b.routed(1)))); err != nil {
		return err
	}
	idle, err := busy(ctx)
	if err != nil {
		return err
	}
	defer idle()
	best := 0.0
	for _, interval := range []uint32{50, 30, 20, 10} {
		lost, err := b.bfdHold(ctx, interval, during)
		if err != nil {
			return err
		}
		report(fmt.Sprintf("BFD %d ms x 3, all cores busy for %s: sessions of the nodes lost", interval, during), "", []float64{float64(lost)})
		if lost > 0 {
			break
		}
		best = float64(interval)
	}
	report(fmt.Sprintf("BFD, smallest interval that holds for %s with all cores busy (0: none)", during), "ms", []float64{best})
	return b.Gone(ctx, suite.HelloService(namespace, name, app), limit)
}

// bfdHold returns how many sessions were lost within a time. It looks at since when they are established: the router forgets what it has
// counted of a dynamic neighbour together with the session.
func (b bench) bfdHold(ctx context.Context, interval uint32, during time.Duration) (int, error) {
	routes, err := b.Lab.Router().Routes()
	if err != nil {
		return 0, err
	}
	defer routes.Close()
	if err := errors.Join(b.peered(ctx, interval), b.watched(ctx, routes)); err != nil {
		return 0, err
	}
	before, err := b.establishedSince(ctx)
	if err != nil {
		return 0, err
	}
	if err := pause(ctx, during); err != nil {
		return 0, err
	}
	after, err := b.establishedSince(ctx)
	lost := 0
	for node, since := range before {
		if still, up := after[node]; !up || !still.Equal(since) {
			lost++
		}
	}
	return lost, errors.Join(err, b.unpeered(ctx))
}

// establishedSince says of each node with a session with the router since when.
func (b bench) establishedSince(ctx context.Context) (map[string]time.Time, error) {
	sessions, err := b.Sessions(ctx, bgpPeer)
	if err != nil {
		return nil, err
	}
	since := map[string]time.Time{}
	for _, s := range sessions {
		if s.State == "Established" && s.Since != nil {
			since[s.Node] = s.Since.Time
		}
	}
	return since, nil
}

// busy keeps every core at work until idle is called, by a process each, which ends with this one.
func busy(ctx context.Context) (idle func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var all []*exec.Cmd
	idle = func() {
		cancel()
		for _, cmd := range all {
			_ = cmd.Wait() // it was killed
		}
	}
	for range runtime.NumCPU() {
		cmd := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			idle()
			return nil, fmt.Errorf("keeping a core busy: %w", err)
		}
		all = append(all, cmd)
	}
	return idle, nil
}
