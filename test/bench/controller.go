// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/test/suite"
)

var ofController = client.MatchingLabels{"app.kubernetes.io/component": "controller"}

// usage is what a container has used: seconds of CPU, user and system, since it started, and the memory that the kubelet calls its working
// set, in mebibytes.
type usage struct{ seconds, mebibytes float64 }

// controllerPod is the one controller's pod that runs and is not about to end.
func (b bench) controllerPod(ctx context.Context) (*corev1.Pod, error) {
	var pods corev1.PodList
	if err := b.Client.List(ctx, &pods, client.InNamespace(suite.Namespace), ofController); err != nil {
		return nil, fmt.Errorf("listing the controller's pods: %w", err)
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.DeletionTimestamp == nil && len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].State.Running != nil {
			return p, nil
		}
	}
	return nil, errors.New("no pod of the controller runs")
}

// meter returns how to read what the controller's container uses, its children included.
func (b bench) meter(ctx context.Context) (func() usage, error) {
	pod, err := b.controllerPod(ctx)
	if err != nil {
		return nil, err
	}
	_, id, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
	group := func(controller, file string) string {
		found, _ := filepath.Glob(filepath.Join("/sys/fs/cgroup", controller, "metalsuite-lab-"+pod.Spec.NodeName, "kubepods", "*", "pod"+string(pod.UID), id, file))
		return strings.Join(found, "")
	}
	if cpu := group("", "cpu.stat"); cpu != "" {
		memory, detail := group("", "memory.current"), group("", "memory.stat")
		return func() usage {
			return usage{value(cpu, "usage_usec") / 1e6, (value(memory, "") - value(detail, "inactive_file")) / (1 << 20)}
		}, nil
	}
	cpu, memory, detail := group("cpuacct", "cpuacct.usage"), group("memory", "memory.usage_in_bytes"), group("memory", "memory.stat")
	if cpu == "" || memory == "" {
		return nil, fmt.Errorf("no control group of container %s on node %s", id, pod.Spec.NodeName)
	}
	return func() usage {
		return usage{value(cpu, "") / 1e9, (value(memory, "") - value(detail, "total_inactive_file")) / (1 << 20)}
	}, nil
}

// value reads a number from a file of a control group: the whole content, or what stands behind the name on a line. A container that has
// ended has used nothing.
func value(file, name string) float64 {
	content, _ := os.ReadFile(file)
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) == 2 && fields[0] == name || len(fields) == 1 && name == "" {
			n, _ := strconv.ParseFloat(fields[len(fields)-1], 64)
			return n
		}
	}
	return 0
}

// What a restart is made of.
const (
	partServed = "-> a new Service has its address"
	partStart  = "of that, until the new process starts"
	partLease  = "of that, until it leads"
	partRead   = "of that, until it has read and decided all"
	partGrant  = "of that, until the Service's address is seen"
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
		{partStart, "Starting"}, {partLease, "successfully acquired lease"}, {partRead, "First pass done"},
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
