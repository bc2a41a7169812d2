// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

// listening is how long the client waits for answers when it asks once who has an address.
const listening = time.Second

// neighbours measures from the creation of a Service to the first answer by ARP and by NDP, one family after the other, asked for from
// the start.
func (b bench) neighbours(ctx context.Context) error {
	answered := map[string][]time.Duration{}
	for i := range creations {
		for _, address := range []netip.Addr{nth(b.Lab.Pool4(), 8_000+i), nth(b.Lab.Pool6(), 8_000+i)} {
			took, err := b.answer(ctx, b.asking(fmt.Sprintf("neighbour-%d", i), corev1.IPFamilyPolicySingleStack, address), address)
			if err != nil {
				return err
			}
			answered[protocolOf(address)] = append(answered[protocolOf(address)], took)
		}
	}
	for _, protocol := range []string{"ARP", "NDP"} {
		figure("Service created -> first answer by "+protocol+", families in turn", answered[protocol])
	}
	return nil
}

// answer creates a Service, measures until its address is answered for, and deletes it.
func (b bench) answer(ctx context.Context, service *corev1.Service, address netip.Addr) (time.Duration, error) {
	asking, err := b.Lab.Client().Watch(ctx, lab.Segment, address, time.Millisecond)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	err = b.Client.Create(ctx, service)
	if err == nil {
		err = suite.Await(ctx, limit, func(context.Context) error {
			if asking.Report().Answers == 0 {
				return fmt.Errorf("nobody answers for %s", address)
			}
			return nil
		})
	}
	report, stopped := asking.Stop()
	if err := errors.Join(err, stopped, b.Gone(ctx, service, limit)); err != nil {
		return 0, err
	}
	return report.Changes[0].At.Sub(begin), nil
}

// quiet is for how long nothing happens before memory is measured.
const quiet = time.Minute

// speakers measures what speakers hold when there is nothing to announce, and with 1,000 Services that are announced.
func (b bench) speakers(ctx context.Context) error {
	if err := pause(ctx, quiet); err != nil {
		return err
	}
	idle, err := b.speakerMemory(ctx)
	if err != nil {
		return err
	}
	report("speakers' memory, idle for 60 s, without Services", "MiB", idle)
	l := load{bench: b, namespace: namespace, services: 1000, clients: 8, labels: unproxied, app: app}
	if _, _, err := l.create(ctx); err != nil {
		return err
	}
	begin := time.Now()
	if err := l.announced(ctx); err != nil {
		return err
	}
	report("1,000 Services: the last has its address -> all have a status that names their node", "s", []float64{time.Since(begin).Seconds()})
	full, err := b.speakerMemory(ctx)
	if err != nil {
		return err
	}
	report("speakers' memory, 1,000 Services announced", "MiB", full)
	_, _, err = l.remove(ctx, 0)
	return err
}

// announced waits until a node says of each Service that it announces it.
func (l load) announced(ctx context.Context) error {
	return suite.Await(ctx, 5*limit, func(ctx context.Context) error {
		var list v1beta1.ServiceL2StatusList
		if err := l.Client.List(ctx, &list); err != nil {
			return fmt.Errorf("listing the status of services: %w", err)
		}
		named := map[string]bool{}
		for _, s := range list.Items {
			if s.Status.ServiceNamespace == l.namespace && s.Status.Node != "" {
				named[s.Status.ServiceName] = true
			}
		}
		if len(named) < l.services {
			return fmt.Errorf("%d of %d Services are announced", len(named), l.services)
		}
		return nil
	})
}

// speakerMemory is what each speaker holds, in mebibytes.
func (b bench) speakerMemory(ctx context.Context) ([]float64, error) {
	pods, err := b.Speakers(ctx)
	if err != nil {
		return nil, err
	}
	var all []float64
	for i := range pods {
		container, err := suite.ContainerOf(&pods[i])
		if err != nil {
			return nil, err
		}
		mebibytes, err := container.Memory()
		if err != nil {
			return nil, err
		}
		all = append(all, mebibytes)
	}
	if len(all) != len(b.Lab.Nodes()) {
		return nil, fmt.Errorf("%d speakers run", len(all))
	}
	return all, nil
}
