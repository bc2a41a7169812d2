// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ControllerPods lists the pods of the controller that run and are not about to end.
func (s *Suite) ControllerPods(ctx context.Context) ([]corev1.Pod, error) {
	return s.pods(ctx, "controller")
}

// OperatorPods lists the pods of the operator that run and are not about to end.
func (s *Suite) OperatorPods(ctx context.Context) ([]corev1.Pod, error) {
	return s.pods(ctx, "operator")
}

// Speakers lists the pods of the speakers that run and are not about to end.
func (s *Suite) Speakers(ctx context.Context) ([]corev1.Pod, error) { return s.pods(ctx, "speaker") }

func (s *Suite) pods(ctx context.Context, component string) ([]corev1.Pod, error) {
	var pods corev1.PodList
	if err := s.Client.List(ctx, &pods, client.InNamespace(Namespace), client.MatchingLabels{"app.kubernetes.io/component": component}); err != nil {
		return nil, fmt.Errorf("listing the pods of the %s: %w", component, err)
	}
	var running []corev1.Pod
	for _, p := range pods.Items {
		if p.DeletionTimestamp == nil && len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].State.Running != nil {
			running = append(running, p)
		}
	}
	return running, nil
}

// Container is the control group of a pod's one container on its node.
type Container struct {
	pod *corev1.Pod
	id  string
}

// ContainerOf returns the container of a pod that has one.
func ContainerOf(pod *corev1.Pod) (Container, error) {
	if len(pod.Status.ContainerStatuses) != 1 {
		return Container{}, fmt.Errorf("pod %s has %d containers", pod.Name, len(pod.Status.ContainerStatuses))
	}
	_, id, ok := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
	if !ok {
		return Container{}, fmt.Errorf("the container of pod %s has not started", pod.Name)
	}
	return Container{pod, id}, nil
}

// file finds a file of the control group; the controller matters on version 1 only.
func (c Container) file(controller, name string) (string, error) {
	for _, root := range []string{"", controller} {
		for _, class := range []string{"", "*"} {
			found, err := filepath.Glob(filepath.Join("/sys/fs/cgroup", root, "metalsuite-lab-"+c.pod.Spec.NodeName,
				"kubepods", class, "pod"+string(c.pod.UID), c.id, name))
			if err == nil && len(found) == 1 {
				return found[0], nil
			}
		}
	}
	return "", fmt.Errorf("container %s of pod %s has no %s", c.id, c.pod.Name, name)
}

// number reads what stands behind a name in a file of the control group, or its whole content.
func (c Container) number(controller, file, name string) (float64, error) {
	path, err := c.file(controller, file)
	if err != nil {
		return 0, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("reading a control group: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) == 2 && fields[0] == name || len(fields) == 1 && name == "" {
			return strconv.ParseFloat(fields[len(fields)-1], 64)
		}
	}
	return 0, fmt.Errorf("%s has no %q", path, name)
}

// CPU is how many seconds of CPU, user and system, the container has used since it started.
func (c Container) CPU() (float64, error) {
	if microseconds, err := c.number("", "cpu.stat", "usage_usec"); err == nil {
		return microseconds / 1e6, nil
	}
	nanoseconds, err := c.number("cpuacct", "cpuacct.usage", "")
	return nanoseconds / 1e9, err
}

// Memory is what the kubelet calls the working set, in mebibytes: all memory of the container but the files that nobody used lately.
func (c Container) Memory() (float64, error) {
	total, err := c.number("", "memory.current", "")
	inactive, errInactive := c.number("", "memory.stat", "inactive_file")
	if err != nil {
		total, err = c.number("memory", "memory.usage_in_bytes", "")
		inactive, errInactive = c.number("memory", "memory.stat", "total_inactive_file")
	}
	return (total - inactive) / (1 << 20), errors.Join(err, errInactive)
}

// LimitMemory gives the container a memory limit in mebibytes, as resources.limits of its pod would. The result takes it away.
func (c Container) LimitMemory(mebibytes int) (func() error, error) {
	path, err := c.file("", "memory.max")
	none := "max"
	if err != nil {
		path, err = c.file("memory", "memory.limit_in_bytes")
		none = "-1"
	}
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(mebibytes<<20)), 0o600); err != nil {
		return nil, fmt.Errorf("limiting the memory of a control group: %w", err)
	}
	return func() error { return os.WriteFile(path, []byte(none), 0o600) }, nil
}

// Processes are the ids of the container's processes, as the machine numbers them.
func (c Container) Processes() ([]int, error) {
	path, err := c.file("memory", "cgroup.procs")
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a control group: %w", err)
	}
	var all []int
	for _, field := range strings.Fields(string(content)) {
		id, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		all = append(all, id)
	}
	return all, nil
}
