// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/cmd/process/processtest"
	"metalsuite.io/endpointcopier"
	"metalsuite.io/test/shipped"
)

// probeHost is an address of this machine from which nobody connects: a port of it that is free stays free while copiers follow each other.
const probeHost = "127.0.0.2"

// may says what the API server would let the copier do.
func may(ctx context.Context, verb, group, resource, namespace, name string) bool {
	GinkgoHelper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: account,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: verb, Group: group, Resource: resource, Namespace: namespace, Name: name,
		},
	}}
	Expect(api.Create(ctx, review)).To(Succeed())
	return review.Status.Allowed
}

// outage is a way to the API server that can be cut.
type outage struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
}

func newOutage(to string) *outage {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	o := &outage{listener: listener, to: to, conns: map[net.Conn]struct{}{}}
	go o.serve()
	DeferCleanup(func() {
		Expect(listener.Close()).To(Succeed())
		o.set(true)
	})
	return o
}

func (o *outage) serve() {
	for {
		client, err := o.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", o.to)
		if err != nil || !o.keep(client, server) {
			_ = client.Close()
			continue
		}
		go func() { _, _ = io.Copy(server, client) }()
		go func() { _, _ = io.Copy(client, server) }()
	}
}

// keep remembers a pair of connections, or closes them while the way is cut.
func (o *outage) keep(client, server net.Conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cut {
		_ = server.Close()
		return false
	}
	o.conns[client], o.conns[server] = struct{}{}, struct{}{}
	return true
}

// set cuts the way, with all connections on it, or mends it.
func (o *outage) set(cut bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cut = cut; cut {
		for c := range o.conns {
			_ = c.Close()
		}
		clear(o.conns)
	}
}

var _ = Describe("The endpoint-copier command", Ordered, func() {
	var (
		cutKubeconfig []byte
		way           *outage
	)

	BeforeAll(func(ctx SpecContext) {
		Expect(api.Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes-vip"},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Name: "k8s-api", Port: 6443}}},
		})).To(Succeed())
		server := strings.TrimPrefix(roleConfig.Host, "https://")
		way = newOutage(server)
		Expect(string(kubeconfig)).To(ContainSubstring(server))
		cutKubeconfig = bytes.ReplaceAll(kubeconfig, []byte(server), []byte(way.listener.Addr().String()))
	})

	// prepare returns a copier with the flags that the operator sets, on a port of this machine. The loggers of the process are left alone:
	// they are set once in the life of a process, and the specs share one.
	prepare := func(port int, flags ...string) (*options, endpointcopier.Config) {
		GinkgoHelper()
		o := newOptions()
		o.lease, o.registerer = shortLease, prometheus.NewRegistry()
		Expect(o.command().ParseFlags(append([]string{
			"--namespace=" + namespace, "--kubeconfig=" + kubeconfigFile(cutKubeconfig), "--leader-elect", "--annotated-services=false", "--port=0",
			"--health-probe-host=" + probeHost, fmt.Sprintf("--health-probe-port=%d", port),
		}, flags...))).To(Succeed())
		config, err := o.config()
		Expect(err).NotTo(HaveOccurred())
		return o, config
	}

	// run starts a copier and returns how to stop it and what /readyz answers.
	run := func(flags ...string) (stop func(), ready func() (int, error)) {
		GinkgoHelper()
		port := processtest.FreePort(probeHost)
		o, config := prepare(port, flags...)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- o.copy(ctx, GinkgoLogr, config) }()
		stop = sync.OnceFunc(func() {
			GinkgoHelper()
			cancel()
			Eventually(ended).Should(Receive(BeNil()))
		})
		DeferCleanup(stop)
		return stop, func() (int, error) { return processtest.Health(probeHost, port, "readyz") }
	}

	mirrored := func(ctx context.Context, want int) {
		GinkgoHelper()
		Eventually(func(g Gomega) {
			slices := &discoveryv1.EndpointSliceList{}
			g.Expect(api.List(ctx, slices, client.InNamespace("default"), client.MatchingLabels{discoveryv1.LabelServiceName: "kubernetes-vip"})).To(Succeed())
			g.Expect(slices.Items).To(HaveLen(want))
		}).Should(Succeed())
	}

	It("mirrors with the rights of its own role, becomes ready and hands the lead over when it ends", func(ctx SpecContext) {
		stop, ready := run()
		Eventually(ready).Should(Equal(http.StatusOK))
		mirrored(ctx, 1)
		Eventually(func(g Gomega) {
			events := &eventsv1.EventList{}
			g.Expect(api.List(ctx, events, client.InNamespace("default"))).To(Succeed())
			g.Expect(events.Items).To(ContainElement(HaveField("Reason", "EndpointsCopied")))
		}).Should(Succeed())

		stop()
		Expect(holder(ctx)).To(BeEmpty())
	})

	It("waits for an API server that is away, and goes on after one was away for longer than its lease", func(ctx SpecContext) {
		way.set(true)
		_, ready := run()
		Eventually(ready).Should(Equal(http.StatusInternalServerError))
		// A slice that comes back shows that this copier leads. Its name in the Lease would not: the API server writes it before the copier
		// has the answer, and one that was cut off in between waits for the lead, as ready as before.
		Expect(api.DeleteAllOf(ctx, &discoveryv1.EndpointSlice{}, client.InNamespace("default"),
			client.MatchingLabels{discoveryv1.LabelServiceName: "kubernetes-vip"})).To(Succeed())
		way.set(false)
		Eventually(ready).Should(Equal(http.StatusOK))
		mirrored(ctx, 1)

		way.set(true)
		Eventually(ready).Should(Equal(http.StatusInternalServerError), "the next manager has not read anything yet")
		Expect(api.Create(ctx, &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: "kubernetes-second", Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"},
			},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}},
		})).To(Succeed())
		way.set(false)
		mirrored(ctx, 2)
		Eventually(ready).Should(Equal(http.StatusOK))
	})

	It("may write the endpoints of its pair and its own Lease, and nothing else", func(ctx SpecContext) {
		for _, verb := range []string{"list", "watch", "create", "update", "delete"} {
			Expect(may(ctx, verb, "discovery.k8s.io", "endpointslices", "default", "")).To(BeTrue(), verb)
			Expect(may(ctx, verb, "discovery.k8s.io", "endpointslices", "kube-system", "")).To(BeFalse(), verb)
		}
		Expect(may(ctx, "list", "", "services", "kube-system", "")).To(BeFalse())
		for _, verb := range []string{"get", "update"} {
			Expect(may(ctx, verb, "coordination.k8s.io", "leases", namespace, leaderElectionID)).To(BeTrue(), verb)
			Expect(may(ctx, verb, "coordination.k8s.io", "leases", namespace, "other")).To(BeFalse(), verb)
		}
		Expect(may(ctx, "delete", "coordination.k8s.io", "leases", namespace, leaderElectionID)).To(BeFalse())
	})

	It("ends with a clear error when a port is taken", func(ctx SpecContext) {
		taken, err := net.Listen("tcp", net.JoinHostPort(probeHost, "0"))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(taken.Close)
		o, config := prepare(taken.Addr().(*net.TCPAddr).Port)
		Expect(o.copy(ctx, GinkgoLogr, config)).To(MatchError(ContainSubstring("address already in use")))
	})

	It("serves annotated Services of every namespace with the rights that the overlay adds", func(ctx SpecContext) {
		Expect(shipped.Create(ctx, api, "overlays/annotated-services/role.yaml", "overlays/annotated-services/deployment.yaml")).To(Succeed())
		annotated := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "mirror", Annotations: map[string]string{
				endpointcopier.AnnotationEnabled: "true", endpointcopier.AnnotationSourceName: "web",
			}},
			Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}
		Expect(api.Create(ctx, annotated)).To(Succeed())
		Expect(api.Create(ctx, &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}},
		})).To(Succeed())
		run("--annotated-services")
		Eventually(func(g Gomega) {
			slices := &discoveryv1.EndpointSliceList{}
			g.Expect(api.List(ctx, slices, client.InNamespace(namespace), client.MatchingLabels{discoveryv1.LabelServiceName: "mirror"})).To(Succeed())
			g.Expect(slices.Items).To(HaveLen(1))
		}).Should(Succeed())
	})
})
