// SPDX-License-Identifier: Apache-2.0

// Command bench measures the suite on a running lab and prints figures, one a line: name, median, worst, unit, trials. It never passes or
// fails by time. TRIALS sets how often a link is cut (10). Its arguments choose what is measured, all of it without any but bfd-soak: speaker,
// service, neighbour, failover, flood, thousand, bgp-service, bgp-failover, bgp-kill, bgp-load, ten-thousand, bfd-soak.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

const (
	namespace = "bench"
	app       = "hello"
	poolName  = "bench"
	creations = 40
	// loads is how often a load of many Services is repeated.
	loads = 3
	limit = time.Minute

	bfdSoak = "bfd-soak"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == echoCommand {
		if err := runEcho(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	trials := 10
	if value := os.Getenv("TRIALS"); value != "" {
		var err error
		if trials, err = strconv.Atoi(value); err != nil {
			return fmt.Errorf("reading TRIALS: %w", err)
		}
	}
	s, err := suite.Open()
	if err != nil {
		return err
	}
	b := bench{s}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	fmt.Printf("%-100s %10s %10s %-5s %s\n", "name", "median", "worst", "unit", "trials")
	return errors.Join(b.measure(ctx, trials, os.Args[1:]), s.Reset(ctx))
}

// measure runs the parts that were chosen, in this order; none means all.
func (b bench) measure(ctx context.Context, trials int, chosen []string) error {
	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"speaker", func() error { return b.speakers(ctx) }},
		{"service", func() error { return b.creation(ctx) }},
		{"neighbour", func() error { return b.neighbours(ctx) }},
		{"failover", func() error { return b.failovers(ctx, trials) }},
		{"flood", func() error { return b.flood(ctx) }},
		{"thousand", func() error { return b.thousand(ctx, loads) }},
		{"bgp-service", func() error { return b.bgpServices(ctx) }},
		{"bgp-failover", func() error { return b.bgpFailovers(ctx) }},
		{"bgp-kill", func() error { return b.bgpKills(ctx) }},
		{"bgp-load", func() error { return b.bgpLoad(ctx, loads) }},
		{"ten-thousand", func() error { return b.tenThousand(ctx, loads) }},
		{bfdSoak, func() error { return b.bfdHolds(ctx) }},
	} {
		// What takes that long is measured only when it is asked for.
		if len(chosen) == 0 && part.name == bfdSoak || len(chosen) > 0 && !slices.Contains(chosen, part.name) {
			continue
		}
		if err := part.run(); err != nil {
			return fmt.Errorf("measuring %s: %w", part.name, err)
		}
	}
	return nil
}

// pause waits, unless the context ends.
func pause(ctx context.Context, during time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(during):
		return nil
	}
}

func (b bench) failovers(ctx context.Context, trials int) error {
	if err := b.Apply(ctx, suite.HelloService(namespace, "bench-0", app)); err != nil {
		return err
	}
	return errors.Join(
		b.failover(ctx, "L2, owner's link cut -> another MAC answers", trials, b.Lab.Cut),
		b.failover(ctx, "L2, owner cut off silently -> another MAC answers", trials, b.Lab.CutSilently),
	)
}

type bench struct{ *suite.Suite }

func (b bench) prepare(ctx context.Context) error {
	for _, step := range []func() error{
		func() error { return b.Reset(ctx) },
		func() error { return b.Install(ctx) },
		func() error { return b.Apply(ctx, suite.MetalLB()) },
		func() error { return b.AwaitAvailable(ctx, 2*limit) },
		func() error {
			return b.Apply(ctx, suite.Pool(poolName, b.Lab.Pool4().String(), b.Lab.Pool6().String()))
		},
		func() error { return b.Apply(ctx, suite.L2Advertisement("bench", poolName)) },
		func() error { return b.Apply(ctx, suite.HelloNamespace(namespace)) },
		func() error { return b.Apply(ctx, suite.HelloDeployment(namespace, app, int32(len(b.Lab.Nodes())))) },
		func() error { return b.AwaitDeployment(ctx, namespace, app, limit) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// creation measures from the creation of a Service to its address, as a watch sees it, and to the first ARP answer, asked for from the
// start.
func (b bench) creation(ctx context.Context) error {
	var addressed, answered []time.Duration
	expected := b.Lab.Pool4().Masked().Addr()
	for i := range creations {
		address, answer, err := b.create(ctx, fmt.Sprintf("bench-%d", i), expected)
		if err != nil {
			return err
		}
		expected = expected.Next()
		addressed, answered = append(addressed, address), append(answered, answer)
	}
	figure("Service created -> address in its status", addressed)
	figure("Service created -> first ARP answer", answered)
	return nil
}

func (b bench) create(ctx context.Context, name string, expected netip.Addr) (address, answer time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	services, err := b.Client.Watch(ctx, &corev1.ServiceList{}, client.InNamespace(namespace))
	if err != nil {
		return 0, 0, fmt.Errorf("watching services: %w", err)
	}
	defer services.Stop()
	asking, err := b.Lab.Client().Watch(ctx, lab.Segment, expected, time.Millisecond)
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	err = b.Client.Create(ctx, suite.HelloService(namespace, name, app))
	if err == nil {
		err = addressSeen(ctx, services, name)
		address = time.Since(begin)
	}
	if err == nil {
		err = suite.Await(ctx, limit, func(context.Context) error {
			if asking.Report().Answers == 0 {
				return fmt.Errorf("nobody answers for %s", expected)
			}
			return nil
		})
	}
	report, stopped := asking.Stop()
	if err := errors.Join(err, stopped); err != nil {
		return 0, 0, err
	}
	return address, report.Changes[0].At.Sub(begin), nil
}

// addressSeen returns once the watch has seen an address in the status of the Service.
func addressSeen(ctx context.Context, services watch.Interface, name string) error {
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the address of %s: %w", name, ctx.Err())
		case event, open := <-services.ResultChan():
			if !open {
				return errors.New("the watch of services ended")
			}
			s, ok := event.Object.(*corev1.Service)
			if ok && s.Name == name && len(s.Status.LoadBalancer.Ingress) > 0 {
				return nil
			}
		}
	}
}

// failover measures how long nobody answers for an address whose owner is cut off.
func (b bench) failover(ctx context.Context, name string, trials int, cut func(context.Context, string) error) error {
	addresses, err := b.AwaitAddresses(ctx, namespace, "bench-0", limit)
	if err != nil {
		return err
	}
	var silences []time.Duration
	for range trials {
		owner, err := b.settled(ctx, addresses[0])
		if err != nil {
			return err
		}
		move, err := b.Watch(ctx, addresses[0], limit, func(ctx context.Context) error { return cut(ctx, owner) })
		if err := errors.Join(err, b.Lab.Heal(ctx, owner)); err != nil {
			return err
		}
		silences = append(silences, move.Silence)
	}
	figure(name, silences)
	return nil
}

// settled waits until the same node has answered for a while, longer than a returning node waits.
func (b bench) settled(ctx context.Context, address netip.Addr) (owner string, err error) {
	err = suite.Await(ctx, limit, func(ctx context.Context) error {
		owner, _, err = b.OneAnswer(ctx, address, limit, 5*time.Second)
		return err
	})
	return owner, err
}

func figure(name string, values []time.Duration) {
	milliseconds := make([]float64, len(values))
	for i, d := range values {
		milliseconds[i] = float64(d.Microseconds()) / 1000
	}
	report(name, "ms", milliseconds)
}

func report(name, unit string, values []float64) {
	slices.Sort(values)
	fmt.Printf("%-100s %10.1f %10.1f %-5s %d\n", name, values[len(values)/2], values[len(values)-1], unit, len(values))
}
