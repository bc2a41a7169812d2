// SPDX-License-Identifier: Apache-2.0

package peering

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/test/shipped"
)

var (
	environment *envtest.Environment
	config      *rest.Config
	scheme      *runtime.Scheme
	api         client.Client
)

func TestPeering(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(20 * time.Second)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "peering")
}

var _ = BeforeSuite(func(ctx context.Context) {
	ctrl.SetLogger(GinkgoLogr)
	environment = &envtest.Environment{
		CRDDirectoryPaths: []string{shipped.Path(shipped.CRDs)}, ErrorIfCRDPathMissing: true,
	}
	var err error
	config, err = environment.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(environment.Stop)
	config.QPS = -1
	scheme = runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1beta1.AddToScheme, v1beta2.AddToScheme} {
		Expect(add(scheme)).To(Succeed())
	}
	api, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	for _, n := range nodes(nil, "n1", "n2") {
		Expect(api.Create(ctx, &corev1.Node{ObjectMeta: n.ObjectMeta})).To(Succeed())
	}
})

// house is a namespace with objects of the policy.
type house string

func newHouse(ctx context.Context) house {
	GinkgoHelper()
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "h-"}}
	Expect(api.Create(ctx, n)).To(Succeed())
	return house(n.Name)
}

// add creates an object in the house.
func (h house) add(ctx context.Context, o client.Object) {
	GinkgoHelper()
	o.SetNamespace(string(h))
	Expect(api.Create(ctx, o)).To(Succeed())
}

// session creates or changes what the speaker of a node says of a peer.
func (h house) session(ctx context.Context, s v1beta1.BGPSessionStatus) {
	GinkgoHelper()
	want := s.Status
	s.Namespace, s.Name = string(h), "bgp-"+want.Node+"-"+want.Peer
	err := api.Get(ctx, client.ObjectKeyFromObject(&s), &s)
	if err != nil {
		Expect(client.IgnoreNotFound(err)).To(Succeed())
		Expect(api.Create(ctx, &s)).To(Succeed())
		return
	}
	s.Status = want
	Expect(api.Update(ctx, &s)).To(Succeed())
}

func named(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }

func peer(name string, change ...func(*v1beta2.BGPPeerSpec)) *v1beta2.BGPPeer {
	p := &v1beta2.BGPPeer{ObjectMeta: named(name), Spec: v1beta2.BGPPeerSpec{MyASN: 64512, PeerASN: 64999, PeerAddress: "198.18.0.1"}}
	for _, f := range change {
		f(&p.Spec)
	}
	return p
}
