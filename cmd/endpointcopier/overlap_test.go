// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/cmd/process/processtest"
)

const (
	pairNamespace  = "default"
	source, target = "numbers", "numbers-vip"
)

// Two leaders at a time: real processes, stopped and continued by signals.
var _ = Describe("An overlap of two leaders of the endpoint-copier", func() {
	BeforeEach(func() {
		DeferCleanup(func(ctx context.Context) {
			vip := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: pairNamespace, Name: target}}
			Expect(client.IgnoreNotFound(api.Delete(ctx, vip))).To(Succeed())
			for _, service := range []string{source, target} {
				Expect(api.DeleteAllOf(ctx, &discoveryv1.EndpointSlice{}, client.InNamespace(pairNamespace),
					client.MatchingLabels{discoveryv1.LabelServiceName: service})).To(Succeed())
			}
		})
	})

	// launch starts an endpoint-copier process, which is gone when the spec ends.
	launch := func(kubeconfig string, flags ...string) *gexec.Session {
		GinkgoHelper()
		command := exec.Command(os.Args[0], append([]string{childArgument, "--namespace=" + namespace, "--kubeconfig=" + kubeconfig,
			"--source-name=" + source, "--target-name=" + target, "--leader-elect", "--port=0", "--health-probe-port=0"}, flags...)...)
		command.Env = []string{}
		session, err := gexec.Start(command, GinkgoWriter, GinkgoWriter)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() {
			session.Signal(syscall.SIGCONT).Terminate().Wait(10 * time.Second)
		})
		return session
	}

	// leads waits until somebody leads and returns the name.
	leads := func(ctx context.Context) string {
		GinkgoHelper()
		Eventually(ctx, holder).ShouldNot(BeEmpty())
		name, err := holder(ctx)
		Expect(err).NotTo(HaveOccurred())
		return name
	}

	// copies returns the resource versions of the target's slices by name.
	copies := func(ctx context.Context) (map[string]string, error) {
		list := &discoveryv1.EndpointSliceList{}
		err := api.List(ctx, list, client.InNamespace(pairNamespace), client.MatchingLabels{discoveryv1.LabelServiceName: target})
		versions := map[string]string{}
		for i := range list.Items {
			versions[list.Items[i].Name] = list.Items[i].ResourceVersion
		}
		return versions, err
	}

	// publish creates a slice of the source.
	publish := func(ctx context.Context, name string) {
		GinkgoHelper()
		Expect(api.Create(ctx, &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: pairNamespace, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: source}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}},
		})).To(Succeed())
	}

	// expose creates the target.
	expose := func(ctx context.Context) {
		GinkgoHelper()
		Expect(api.Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: pairNamespace, Name: target},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}},
		})).To(Succeed())
	}

	It("ends with the leader that was stopped, which writes nothing any more", func(ctx SpecContext) {
		const slices = 200
		for i := range slices {
			publish(ctx, fmt.Sprintf("%s-%d", source, i))
		}
		wire := processtest.NewWire(roleConfig)
		first := launch(wire.KubeconfigFile())
		firstName := leads(ctx)
		second := launch(kubeconfigFile(kubeconfig))
		Eventually(second.Err).Should(gbytes.Say("ttempting to acquire leader lease"))

		By("stopping the leader in the middle of a plan")
		expose(ctx)
		Eventually(ctx, copies).WithPolling(5 * time.Millisecond).ShouldNot(BeEmpty())
		first.Signal(syscall.SIGSTOP)
		stopped := time.Now()
		Expect(copies(ctx)).NotTo(HaveLen(slices), "it was stopped after its last write: the machine is too fast for this number")
		Eventually(ctx, holder).ShouldNot(Or(BeEmpty(), Equal(firstName)))
		secondName := leads(ctx)
		Eventually(ctx, copies).Should(HaveLen(slices))
		AddReportEntry("from the stop of the leader to the last copy of its successor", time.Since(stopped).Round(time.Millisecond).String())

		By("letting the old one go on with its plan, before it can hear of its loss")
		before, err := copies(ctx)
		Expect(err).NotTo(HaveOccurred())
		wire.Mark()
		first.Signal(syscall.SIGCONT)
		Eventually(first.Err).Should(gbytes.Say("not writing"))
		wire.Release()
		Eventually(first.Err).Should(gbytes.Say("Manager stopped, a new one is started"))
		Eventually(first.Err).Should(gbytes.Say("ttempting to acquire leader lease"))

		By("looking at what the old one asked the API server for")
		done, refused := wire.Writes()
		Expect(done).To(BeEmpty(), "it writes nothing any more")
		sent := 0
		for _, write := range refused {
			Expect(write).To(HaveSuffix("409 Conflict"), "what was under way when it was stopped loses")
			if strings.Contains(write, "/endpointslices") {
				sent++
			}
		}
		Expect(sent).To(BeNumerically("<=", 1), "of its plan, only the write that was under way")
		Expect(copies(ctx)).To(Equal(before))
		Expect(holder(ctx)).To(Equal(secondName), "the successor keeps the Lease")
		Expect(first.ExitCode()).To(Equal(-1), "the old leader is a candidate again")

		By("ending the successor: the old leader leads again, from what it has read anew")
		second.Terminate()
		Eventually(ctx, holder).Should(Equal(firstName))
		publish(ctx, source+"-anew")
		Eventually(ctx, copies).Should(HaveLen(slices + 1))
	})

	It("does not come about when the API server stands still: the leader loses its lead, stays, and leads again", func(ctx SpecContext) {
		health := processtest.FreePort(probeHost)
		session := launch(kubeconfigFile(kubeconfig), "--health-probe-host="+probeHost, fmt.Sprintf("--health-probe-port=%d", health))
		name := leads(ctx)
		expose(ctx)
		server := processtest.APIServer()
		DeferCleanup(func() { Expect(syscall.Kill(server, syscall.SIGCONT)).To(Succeed()) })
		for i := range 2 {
			By(fmt.Sprintf("stopping the API server until the lead is lost: stop %d", i+1))
			Expect(syscall.Kill(server, syscall.SIGSTOP)).To(Succeed())
			Eventually(session.Err).Should(gbytes.Say("Manager stopped.*the Lease was not renewed in time"))
			Expect(processtest.Health(probeHost, health, "healthz")).To(Equal(http.StatusOK))
			Expect(syscall.Kill(server, syscall.SIGCONT)).To(Succeed())
			continued := time.Now()
			publish(ctx, fmt.Sprintf("%s-%d", source, i))
			Eventually(ctx, copies).Should(HaveLen(i + 1))
			AddReportEntry("from the return of the API server to a copy", time.Since(continued).Round(time.Millisecond).String())
			Expect(holder(ctx)).To(Equal(name), "the same process leads")
			Eventually(processtest.Health).WithArguments(probeHost, health, "readyz").Should(Equal(http.StatusOK))
		}
		Expect(session.ExitCode()).To(Equal(-1), "the process was never ended")
	})
})
