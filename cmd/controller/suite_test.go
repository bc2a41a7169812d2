// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/shipped"
)

const namespace = "metallb-system"

var (
	api client.WithWatch
	// kubeconfig and roleConfig have the rights of the role.
	kubeconfig []byte
	roleConfig *rest.Config
)

func TestRole(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(20 * time.Second)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "controller role")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	logf.SetLogger(GinkgoLogr)
	environment := &envtest.Environment{
		CRDDirectoryPaths: []string{shipped.Path(shipped.CRDs)}, ErrorIfCRDPathMissing: true,
	}
	// Owner references take rights, as on OpenShift.
	environment.ControlPlane.GetAPIServer().Configure().Append("enable-admission-plugins", "OwnerReferencesPermissionEnforcement")
	config, err := environment.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(environment.Stop)
	scheme := runtime.NewScheme()
	Expect(errors.Join(clientgoscheme.AddToScheme(scheme), v1beta1.AddToScheme(scheme))).To(Succeed())
	config.QPS = -1
	api, err = client.NewWithWatch(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	Expect(api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	Expect(shipped.Create(ctx, api, "rbac/controller/service_account.yaml", "rbac/controller/role.yaml", "rbac/controller/role_binding.yaml")).To(Succeed())
	user, err := environment.AddUser(envtest.User{
		Name: "system:serviceaccount:" + namespace + ":controller", Groups: []string{"system:serviceaccounts", "system:authenticated"},
	}, nil)
	Expect(err).NotTo(HaveOccurred())
	kubeconfig, err = user.KubeConfig()
	Expect(err).NotTo(HaveOccurred())
	roleConfig = user.Config()
})

// kubeconfigFile writes the kubeconfig of the role and returns its path.
func kubeconfigFile() string {
	GinkgoHelper()
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(os.WriteFile(path, kubeconfig, 0o600)).To(Succeed())
	return path
}

// holder returns who holds the Lease; empty when nobody does.
func holder(ctx context.Context) (string, error) {
	lease := &coordinationv1.Lease{}
	err := client.IgnoreNotFound(api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: leaderElectionID}, lease))
	return ptr.Deref(lease.Spec.HolderIdentity, ""), err
}

// pool creates a pool for the length of a spec.
func pool(ctx context.Context, name string, addresses ...string) *v1beta1.IPAddressPool {
	GinkgoHelper()
	p := &v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: v1beta1.IPAddressPoolSpec{Addresses: addresses}}
	Expect(api.Create(ctx, p)).To(Succeed())
	DeferCleanup(func(ctx context.Context) { Expect(client.IgnoreNotFound(api.Delete(ctx, p))).To(Succeed()) })
	return p
}

// create makes a Service that asks for an address, for the length of a spec.
func create(ctx context.Context, name string) *corev1.Service {
	GinkgoHelper()
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}, AllocateLoadBalancerNodePorts: ptr.To(false),
		},
	}
	Expect(api.Create(ctx, s)).To(Succeed())
	DeferCleanup(func(ctx context.Context) { Expect(client.IgnoreNotFound(api.Delete(ctx, s))).To(Succeed()) })
	return s
}

// served creates a Service and waits for its address.
func served(ctx context.Context, name string) *corev1.Service {
	GinkgoHelper()
	s := create(ctx, name)
	Eventually(func() ([]corev1.LoadBalancerIngress, error) {
		err := api.Get(ctx, client.ObjectKeyFromObject(s), s)
		return s.Status.LoadBalancer.Ingress, err
	}).Should(HaveLen(1))
	return s
}

// bearers returns the Services by the address in their status, and an error when two bear the same one: none of ours shares.
func bearers(ctx context.Context) (map[netip.Addr]string, error) {
	var list corev1.ServiceList
	if err := api.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	by := map[netip.Addr]string{}
	for _, s := range list.Items {
		for _, i := range s.Status.LoadBalancer.Ingress {
			a := netip.MustParseAddr(i.IP)
			if other, taken := by[a]; taken {
				return nil, fmt.Errorf("%s and %s both bear %s", other, s.Name, a)
			}
			by[a] = s.Name
		}
	}
	return by, nil
}
