// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/test/suite"
)

var ofController = client.MatchingLabels{"app.kubernetes.io/component": "controller"}

// usage is what the controller's container has used.
type usage struct{ seconds, mebibytes float64 }

func (b bench) controllerPod(ctx context.Context) (*corev1.Pod, error) {
	pods, err := b.ControllerPods(ctx)
	if err == nil && len(pods) != 1 {
		err = fmt.Errorf("%d pods of the controller run", len(pods))
	}
	if err != nil {
		return nil, err
	}
	return &pods[0], nil
}

// used is what the controller has used until now.
func (b bench) used(ctx context.Context) (usage, error) {
	pod, err := b.controllerPod(ctx)
	if err != nil {
		return usage{}, err
	}
	container, err := suite.ContainerOf(pod)
	if err != nil {
		return usage{}, err
	}
	seconds, errCPU := container.CPU()
	mebibytes, errMemory := container.Memory()
	return usage{seconds, mebibytes}, errors.Join(errCPU, errMemory)
}

// What a restart is made of.
const (
	partServed = "-> a new Service has its address"
	partStart  = "of that, until the new process starts"
	partRead   = "of that, until it has read the Services"
	partLease  = "of that, until it leads"
	partDecide = "of that, until it has made sure of what it read and decided"
	partGrant  = "of that, until the new Service's address is seen"
)

// restart deletes the controller's pod, creates a Service at once and waits for its address.
func (l load) restart(ctx context.Context, name string, parts map[string][]float64) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	seen, err := l.follow(ctx, l.namespace)
	if err != nil {
		return err
	}
	defer seen.stop()
	begin := time.Now()
	if err := l.Client.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(suite.Namespace), ofController); err != nil {
		return fmt.Errorf("deleting the controller's pod: %w", err)
	}
	if err := l.Client.Create(ctx, l.named(name)); err != nil {
		return fmt.Errorf("creating %s: %w", name, err)
	}
	served, err := seen.named(ctx, name)
	if err != nil {
		return err
	}
	last := begin
	note := func(part string, at time.Time) {
		parts[part] = append(parts[part], at.Sub(last).Seconds())
		last = at
	}
	for _, step := range []struct{ part, text string }{
		{partStart, "Starting"}, {partRead, "Attempting to acquire leader lease"}, {partLease, "uccessfully acquired lease"}, {partDecide, "First reconciliation finished"},
	} {
		at, err := l.logged(ctx, step.text)
		if err != nil {
			return err
		}
		note(step.part, at)
	}
	note(partGrant, served)
	parts[partServed] = append(parts[partServed], served.Sub(begin).Seconds())
	return nil
}

// logged returns when the controller logged a line with this text first.
func (l load) logged(ctx context.Context, text string) (at time.Time, err error) {
	err = suite.Await(ctx, limit, func(ctx context.Context) error {
		pod, err := l.controllerPod(ctx)
		if err != nil {
			return err
		}
		log, err := l.Kubectl(ctx, "", "-n", suite.Namespace, "logs", "--timestamps", pod.Name)
		if err != nil {
			return err
		}
		for line := range strings.Lines(log) {
			if stamp, rest, _ := strings.Cut(line, " "); strings.Contains(rest, text) {
				at, err = time.Parse(time.RFC3339Nano, stamp)
				return err
			}
		}
		return fmt.Errorf("the controller has not logged %q", text)
	})
	return at, err
}
