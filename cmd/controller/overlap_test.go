// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os/exec"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/cmd/process/processtest"
	"metalsuite.io/internal/kube"
)

// Two leaders at a time: the real program, stopped and continued by signals.
var _ = Describe("An overlap of two leaders", Ordered, func() {
	const host = "127.0.0.1"
	var binary string

	BeforeAll(func() {
		var err error
		// Without cgo in any case: a test under the race detector must not compile everything a third way.
		binary, err = gexec.BuildWithEnvironment("metalsuite.io", []string{"CGO_ENABLED=0"}, "-ldflags=-s -w")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(gexec.CleanupBuildArtifacts)
	})

	// launch starts a controller process, which is gone when the spec ends.
	launch := func(kubeconfig string, flags ...string) *gexec.Session {
		GinkgoHelper()
		command := exec.Command(binary, append([]string{"controller", "--namespace=" + namespace, "--kubeconfig=" + kubeconfig, "--port=0", "--health-probe-port=0"}, flags...)...)
		command.Env = []string{}
		session, err := gexec.Start(command, GinkgoWriter, GinkgoWriter)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() {
			session.Signal(syscall.SIGCONT).Terminate().Wait(10 * time.Second)
		})
		return session
	}

	// leader starts a controller and returns it with its name once it leads.
	leader := func(ctx context.Context, kubeconfig string) (*gexec.Session, string) {
		GinkgoHelper()
		session := launch(kubeconfig)
		Eventually(ctx, holder).ShouldNot(BeEmpty())
		name, err := holder(ctx)
		Expect(err).NotTo(HaveOccurred())
		return session, name
	}

	It("ends with the leader that was stopped, which writes nothing any more", func(ctx SpecContext) {
		const services, late = 120, 30
		blue := pool(ctx, "blue", "198.18.4.0/24")
		wire := processtest.NewWire(roleConfig)
		first, firstName := leader(ctx, wire.KubeconfigFile())
		second := launch(kubeconfigFile())
		Eventually(second.Err).Should(gbytes.Say("ttempting to acquire leader lease"))

		By("stopping the leader in the middle of its work, with decisions that it has not written")
		grants := follow(ctx)
		var creating errgroup.Group
		for i := range services {
			creating.Go(func() error { create(ctx, fmt.Sprintf("s%d", i)); return nil })
		}
		Eventually(grants.addressed).WithPolling(time.Millisecond).Should(BeNumerically(">=", services/4))
		first.Signal(syscall.SIGSTOP)
		stopped := time.Now()
		Expect(creating.Wait()).To(Succeed())

		By("giving the successor other addresses to grant than those that the leader has in mind")
		// Figures of the pool that the leader sent before it was stopped may arrive only now: a patch does not mind.
		change := client.MergeFrom(blue.DeepCopy())
		blue.Spec.Addresses = []string{"198.18.5.0/24"}
		Expect(api.Patch(ctx, blue, change)).To(Succeed())
		Eventually(ctx, holder).ShouldNot(Equal(firstName))
		AddReportEntry("from the stop of the leader to its successor", time.Since(stopped).Round(time.Millisecond).String())
		range5 := netip.MustParsePrefix("198.18.5.0/24")
		Eventually(ctx, func(g Gomega) {
			by, err := bearers(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(by).To(HaveLen(services))
			g.Expect(by).To(HaveEach(Not(BeEmpty())))
			for a := range by {
				g.Expect(range5.Contains(a)).To(BeTrue(), a.String())
			}
			g.Expect(api.Get(ctx, client.ObjectKeyFromObject(blue), blue)).To(Succeed())
			g.Expect(blue.Status.AssignedIPv4).To(BeEquivalentTo(services))
		}).Should(Succeed())
		AddReportEntry("from the stop of the leader to the last grant", time.Since(stopped).Round(time.Millisecond).String())
		secondName, err := holder(ctx)
		Expect(err).NotTo(HaveOccurred())

		By("letting the old one go on, which hears late of its loss, with work at hand for whoever dares")
		before, later := versions(ctx), follow(ctx)
		wire.Mark()
		first.Signal(syscall.SIGCONT)
		for i := range late {
			creating.Go(func() error { create(ctx, fmt.Sprintf("late%d", i)); return nil })
		}
		Expect(creating.Wait()).To(Succeed())
		Eventually(later.addressed).Should(Equal(services + late))
		told := time.Now()
		wire.Release()
		Eventually(first.Err).Should(gbytes.Say("Manager stopped.*another process acquired the Lease after this one"))
		AddReportEntry("from the old leader hearing of its loss to the end of its manager", time.Since(told).Round(time.Millisecond).String())
		Eventually(first.Err).Should(gbytes.Say("ttempting to acquire leader lease"))

		By("looking at what the old one asked the API server for")
		done, refused := wire.Writes()
		AddReportEntry("writes of the old leader that were under way and refused", len(refused))
		Expect(done).To(BeEmpty(), "it writes nothing any more")
		for _, write := range refused {
			Expect(write).To(HaveSuffix("409 Conflict"), "what was under way when it was stopped loses")
		}
		after := versions(ctx)
		for name, version := range before {
			Expect(after).To(HaveKeyWithValue(name, version), "nobody touches what the successor has decided")
		}
		_, err = bearers(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(holder(ctx)).To(Equal(secondName), "the successor keeps the Lease")
		Expect(second.ExitCode()).To(Equal(-1), "the successor still runs")
		Expect(first.ExitCode()).To(Equal(-1), "the old leader is a candidate again")

		By("ending the successor: the old leader leads again, from what it has read anew")
		second.Terminate()
		Eventually(ctx, holder).Should(Equal(firstName))
		served(ctx, "anew")
		_, err = bearers(ctx)
		Expect(err).NotTo(HaveOccurred())
	})

	It("does not come about when the API server stands still: the leader loses its lead, stays, and leads again", func(ctx SpecContext) {
		pool(ctx, "violet", "198.18.8.0/24")
		health := processtest.FreePort(host)
		session := launch(kubeconfigFile(), "--health-probe-host="+host, fmt.Sprintf("--health-probe-port=%d", health))
		Eventually(ctx, holder).ShouldNot(BeEmpty())
		name, err := holder(ctx)
		Expect(err).NotTo(HaveOccurred())
		server := processtest.APIServer()
		DeferCleanup(func() { Expect(syscall.Kill(server, syscall.SIGCONT)).To(Succeed()) })
		for _, stall := range []string{"first", "second"} {
			served(ctx, "before-the-"+stall)
			By("stopping the API server until the lead is lost: the " + stall + " time")
			Expect(syscall.Kill(server, syscall.SIGSTOP)).To(Succeed())
			stopped := time.Now()
			Eventually(session.Err).Should(gbytes.Say("Manager stopped.*the Lease was not renewed in time"))
			AddReportEntry("from the stop of the API server to the end of the manager", time.Since(stopped).Round(time.Millisecond).String())
			Expect(processtest.Health(host, health, "healthz")).To(Equal(http.StatusOK))
			Expect(processtest.Health(host, health, "readyz")).To(Equal(http.StatusOK))
			Expect(syscall.Kill(server, syscall.SIGCONT)).To(Succeed())
			continued := time.Now()
			served(ctx, "after-the-"+stall)
			AddReportEntry("from the return of the API server to a grant", time.Since(continued).Round(time.Millisecond).String())
			Expect(holder(ctx)).To(Equal(name), "the same process leads")
		}
		Expect(session.ExitCode()).To(Equal(-1), "the process was never ended")
		_, err = bearers(ctx)
		Expect(err).NotTo(HaveOccurred())
	})

	// forge writes what a stopped leader would: the address of one Service into the status of another, with all that goes with it.
	forge := func(ctx context.Context, s *corev1.Service, address string, since time.Time) {
		GinkgoHelper()
		before := s.DeepCopy()
		s.Status.LoadBalancer.Ingress[0].IP = address
		kube.SetCondition(&s.Status.Conditions, v1beta1.ConditionAddressAllocated, metav1.ConditionTrue, reason.Allocated,
			address+" of pool "+s.Annotations[v1beta1.AnnotationAllocatedFromPool], s.Generation)
		meta.FindStatusCondition(s.Status.Conditions, v1beta1.ConditionAddressAllocated).LastTransitionTime = metav1.NewTime(since)
		Expect(api.Status().Patch(ctx, s, client.MergeFrom(before))).To(Succeed())
	}

	// The numbers are in how many states each Service is seen: the rightful one with the disputed address and, if it yields, another one;
	// the forged one with its own, the disputed one and, if it yields, another one. There is none between.
	DescribeTable("heals an address that two Services bear", func(ctx SpecContext, age time.Duration, rightful, forged int) {
		pool(ctx, "green", "198.18.6.0/24")
		leader(ctx, kubeconfigFile())
		services := map[string]*corev1.Service{"rightful": served(ctx, "rightful"), "forged": served(ctx, "forged")}
		disputed := services["rightful"].Status.LoadBalancer.Ingress[0].IP
		since := kube.SeniorityOf(services["rightful"]).Since

		events := follow(ctx)
		forge(ctx, services["forged"], disputed, since.Add(age))
		begin := time.Now()
		Eventually(ctx, bearers).WithTimeout(2 * time.Second).WithPolling(5 * time.Millisecond).Should(HaveLen(2))
		AddReportEntry("from the duplicate to its end", time.Since(begin).Round(time.Millisecond).String())
		Consistently(ctx, bearers, 300*time.Millisecond).Should(HaveLen(2))
		Expect(events.of("rightful")).To(And(HaveLen(rightful), HaveEach(Not(BeEmpty()))))
		Expect(events.of("forged")).To(And(HaveLen(forged), HaveEach(Not(BeEmpty())), ContainElement(disputed)))
	},
		Entry("the younger one yields", time.Second, 1, 3),
		Entry("the older one keeps it, whoever wrote it", -10*time.Second, 2, 2),
	)
})

// versions are the resource versions of all Services.
func versions(ctx context.Context) map[string]string {
	GinkgoHelper()
	var list corev1.ServiceList
	Expect(api.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
	all := map[string]string{}
	for i := range list.Items {
		all[list.Items[i].Name] = list.Items[i].ResourceVersion
	}
	return all
}
