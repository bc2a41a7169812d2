// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"metalsuite.io/test/lab/image"
	"metalsuite.io/test/lab/internal/binaries"
	"metalsuite.io/test/lab/internal/checkout"
	"metalsuite.io/test/lab/internal/machine"
	"metalsuite.io/test/lab/internal/netspace"
	"metalsuite.io/test/lab/internal/topology"
)

// Up makes sure that a healthy lab of these inputs runs, with the images of this checkout loaded. Whatever else an earlier run left is removed first.
func (l *Lab) Up(ctx context.Context) error {
	if err := l.Inputs.Validate(); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("the lab makes network namespaces: run it as root")
	}
	if err := os.MkdirAll(checkout.Logs(l.Checkout), 0o755); err != nil {
		return fmt.Errorf("making the log folder: %w", err)
	}
	unlock, err := machine.LockMachine(ctx, func() { l.Progress("waiting for another lab command to end") })
	if err != nil {
		return err
	}
	defer unlock()
	if err := machine.InstallPackages(ctx, l.log("packages"), l.Progress); err != nil {
		return err
	}
	if l.bin, err = (binaries.Builder{Checkout: l.Checkout, Progress: l.Progress}).Build(ctx, binaries.All); err != nil {
		return err
	}
	if reason := l.unhealthy(ctx); reason != nil {
		l.Progress("making a new lab: %v", reason)
		return l.create(ctx)
	}
	return l.refresh(ctx)
}

// refresh brings a healthy lab up to date: links, images, interface.
func (l *Lab) refresh(ctx context.Context) error {
	images, err := l.buildImages(ctx)
	if err != nil {
		return err
	}
	if err := l.loadChanged(ctx, images); err != nil {
		return err
	}
	if err := l.writeInterface(); err != nil {
		return err
	}
	l.Progress("the lab runs already: %d nodes, kube-proxy in mode %s", l.Inputs.Nodes, l.Inputs.ProxyMode)
	return nil
}

// unhealthy says why the lab on this machine, if any, is not the wanted one in good health.
func (l *Lab) unhealthy(ctx context.Context) error {
	owner, ok := machine.ReadOwner()
	switch {
	case !ok:
		return errors.New("none runs")
	case !owner.Complete:
		return errors.New("the last one was not finished")
	case owner.Checkout != l.Checkout:
		return fmt.Errorf("the running one belongs to %s", owner.Checkout)
	case owner.Inputs != l.Inputs:
		return fmt.Errorf("the running one has other inputs: %+v", owner.Inputs)
	case owner.Binaries != l.bin:
		return fmt.Errorf("the running one has other binaries: %s", owner.Binaries)
	}
	if dead, err := deadDaemons(); err != nil || len(dead) > 0 {
		return errors.Join(fmt.Errorf("the running one has dead daemons: %v", dead), err)
	}
	for _, name := range l.Inputs.Namespaces() {
		if !netspace.Exists(name) {
			return fmt.Errorf("the running one has no host %s", name)
		}
	}
	for _, node := range l.Inputs.NodeList() {
		if err := errors.Join(Heal(ctx, node.Name), Pacify(ctx, node.Name)); err != nil {
			return err
		}
	}
	if err := errors.Join(Pacify(ctx, topology.Stranger), RestoreRouter(ctx)); err != nil {
		return err
	}
	return l.awaitReady(ctx, 20*time.Second)
}

func deadDaemons() (dead []string, err error) {
	names, err := machine.Daemons()
	for _, name := range names {
		if !machine.Alive(name) {
			dead = append(dead, name)
		}
	}
	return dead, err
}

// create removes what is there and makes a new lab. Control plane, nodes, router and images come up side by side.
func (l *Lab) create(ctx context.Context) error {
	if err := machine.Clear(ctx, frrFolders()...); err != nil {
		return err
	}
	owner := machine.Owner{Checkout: l.Checkout, Inputs: l.Inputs, Binaries: l.bin}
	if err := machine.WriteOwner(owner); err != nil {
		return err
	}
	clients, err := l.makePKI()
	if err != nil {
		return fmt.Errorf("making certificates: %w", err)
	}
	if err := l.writeKubeconfigs(clients); err != nil {
		return err
	}
	if err := l.makeHosts(ctx); err != nil {
		return fmt.Errorf("making the hosts: %w", err)
	}
	l.Progress("hosts are made: %v", l.Inputs.Namespaces())
	if err := l.startAll(ctx); err != nil {
		return err
	}
	if err := l.awaitReady(ctx, nodeReadyTimeout); err != nil {
		return fmt.Errorf("waiting for the nodes (logs: %s): %w", checkout.Logs(l.Checkout), err)
	}
	owner.Complete = true
	if err := machine.WriteOwner(owner); err != nil {
		return err
	}
	if err := l.writeInterface(); err != nil {
		return err
	}
	l.Progress("the lab is up: %d nodes are Ready, interface in %s", l.Inputs.Nodes, checkout.Env(l.Checkout))
	return nil
}

func (l *Lab) startAll(ctx context.Context) error {
	group, together := errgroup.WithContext(ctx)
	images, nodes := make(chan []image.Built, 1), l.Inputs.NodeList()
	group.Go(func() error {
		built, err := l.buildImages(together)
		images <- built
		return err
	})
	group.Go(func() error {
		if err := l.makeRouted(together); err != nil {
			return err
		}
		return l.startRouter(together)
	})
	group.Go(func() error { return l.startSecondRouter(together) })
	group.Go(func() error { return l.startControlPlane(together) })
	group.Go(func() error {
		if err := l.prepareNodes(together, nodes); err != nil {
			return err
		}
		return l.loadChanged(together, <-images)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	for _, node := range nodes {
		if err := l.startNode(ctx, node); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) prepareNodes(ctx context.Context, nodes []topology.Node) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, node := range nodes {
		group.Go(func() error { return l.prepareNode(ctx, node) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	l.Progress("containerd answers on every node")
	return nil
}

func (l *Lab) client() (kubernetes.Interface, error) {
	content, err := os.ReadFile(kubeconfigPath(admin))
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config, err := RESTConfig(content, topology.ControlPlane)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// awaitReady waits until every node is Ready; a kubelet that ends meanwhile is an error at once.
func (l *Lab) awaitReady(ctx context.Context, timeout time.Duration) error {
	client, err := l.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	last := errors.New("not checked yet")
	err = wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		dead, err := deadDaemons()
		if err != nil {
			return false, err
		}
		if len(dead) > 0 {
			return false, fmt.Errorf("ended: %v, last words of %s: %s", dead, dead[0], lastLine(l.log(dead[0])))
		}
		last = l.nodesReady(ctx, client)
		return last == nil, nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("after %s: %w", timeout, last)
	}
	return err
}

func (l *Lab) nodesReady(ctx context.Context, client kubernetes.Interface) error {
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	ready := map[string]bool{}
	for _, node := range list.Items {
		for _, condition := range node.Status.Conditions {
			ready[node.Name] = ready[node.Name] || condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
		}
	}
	for _, node := range l.Inputs.NodeList() {
		if !ready[node.Name] {
			return fmt.Errorf("node %s is not Ready (log: %s)", node.Name, l.log(node.Name+"-kubelet"))
		}
	}
	return nil
}

// Down stops and removes the lab of this machine, whoever made it.
func (l *Lab) Down(ctx context.Context) error {
	unlock, err := machine.LockMachine(ctx, func() { l.Progress("waiting for another lab command to end") })
	if err != nil {
		return err
	}
	defer unlock()
	if err := machine.Clear(ctx, frrFolders()...); err != nil {
		return err
	}
	if err := os.Remove(checkout.Env(l.Checkout)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the interface: %w", err)
	}
	l.Progress("the lab is gone; its logs stay in %s", filepath.Clean(checkout.Logs(l.Checkout)))
	return nil
}
