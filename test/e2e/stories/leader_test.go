// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

// leader returns who holds the controllers' Lease: the name of the pod, then of the process in it.
func leader(ctx context.Context) (string, error) {
	var lease coordinationv1.Lease
	err := cluster.Client.Get(ctx, client.ObjectKey{Namespace: suite.Namespace, Name: "controller.metallb.io"}, &lease)
	return ptr.Deref(lease.Spec.HolderIdentity, ""), err
}

// processesOf are the processes of a controller's pod.
func processesOf(ctx context.Context, pod string) []int {
	GinkgoHelper()
	var p corev1.Pod
	Expect(cluster.Client.Get(ctx, client.ObjectKey{Namespace: suite.Namespace, Name: pod}, &p)).To(Succeed())
	container, err := suite.ContainerOf(&p)
	Expect(err).NotTo(HaveOccurred())
	processes, err := container.Processes()
	Expect(err).NotTo(HaveOccurred())
	Expect(processes).NotTo(BeEmpty())
	return processes
}

// bearers returns the names of the Services by the address that they bear.
func bearers(ctx context.Context) (map[string][]string, error) {
	var services corev1.ServiceList
	err := cluster.Client.List(ctx, &services, client.InNamespace(namespace))
	by := map[string][]string{}
	for _, s := range services.Items {
		for _, i := range s.Status.LoadBalancer.Ingress {
			by[i.IP] = append(by[i.IP], s.Name)
		}
	}
	return by, err
}

var _ = Describe("A leader that is stopped for longer than its Lease and goes on", func() {
	It("gives no address to two Services, and each has one owner all the time", func(ctx SpecContext) {
		const early, late = 20, 5
		m := suite.MetalLB()
		m.Spec.ControllerReplicas = ptr.To[int32](2)
		Expect(cluster.Apply(ctx, m)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			Expect(cluster.Apply(ctx, suite.MetalLB())).To(Succeed())
			Expect(cluster.AwaitAvailable(ctx, 2*patience)).To(Succeed())
		})
		Expect(cluster.AwaitAvailable(ctx, patience)).To(Succeed())
		serve(ctx, suite.Pool("contested", rangeOf(150, 199)))
		apply(ctx, suite.HelloService(namespace, "before", app))
		Eventually(addressesOf).WithArguments(ctx, "before").Should(HaveExactElements(addressOf(150).String()))
		first, err := leader(ctx)
		Expect(err).NotTo(HaveOccurred())
		pod, _, _ := strings.Cut(first, "_")
		processes := processesOf(ctx, pod)
		signal := func(s syscall.Signal) {
			GinkgoHelper()
			for _, p := range processes {
				Expect(syscall.Kill(p, s)).To(Succeed())
			}
		}
		watches := map[netip.Addr]*lab.Watch{}
		for n := range 1 + early + late {
			address := addressOf(150 + n)
			watches[address], err = cluster.Lab.Client().Watch(ctx, lab.Segment, address, 50*time.Millisecond)
			Expect(err).NotTo(HaveOccurred())
		}

		By("stopping it in the middle of its work")
		for i := range early {
			apply(ctx, suite.HelloService(namespace, fmt.Sprintf("early-%d", i), app))
		}
		signal(syscall.SIGSTOP)
		goesOn := false
		DeferCleanup(func() {
			if !goesOn {
				signal(syscall.SIGCONT)
			}
		})
		stopped := time.Now()
		for i := range late {
			apply(ctx, suite.HelloService(namespace, fmt.Sprintf("late-%d", i), app))
		}
		Eventually(ctx, leader).ShouldNot(Equal(first))
		Eventually(ctx, bearers).Should(HaveLen(1 + early + late))
		AddReportEntry("from the stop to the last address of the successor", time.Since(stopped).String())

		By("letting it go on")
		before, err := bearers(ctx)
		Expect(err).NotTo(HaveOccurred())
		signal(syscall.SIGCONT)
		goesOn = true
		Consistently(ctx, bearers, 2*time.Second).Should(And(Equal(before), HaveEach(HaveLen(1))))
		for address, watch := range watches {
			report, err := watch.Stop()
			Expect(err).NotTo(HaveOccurred())
			Expect(report.Owners()).To(HaveLen(1), "who answers for %s", address)
		}
	})
})
