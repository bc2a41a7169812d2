// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/shipped"
)

// operatorAccount is the user that the shipped roles are bound to.
const operatorAccount = "system:serviceaccount:" + shippedNamespace + ":metalsuite-operator"

var (
	config *rest.Config
	// api has all rights, asOperator those of the shipped roles. viaManager writes as the latter and reads as the former, as a manager's client
	// that reads from its cache: the roles allow to list and watch more than to get.
	api, asOperator, viaManager client.WithWatch
)

func TestOperator(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "operator")
}

var _ = BeforeSuite(func() {
	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{shipped.Path(shipped.CRDs)},
		ErrorIfCRDPathMissing: true,
	}
	enforceOwnerReferences(environment)
	var err error
	config, err = environment.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(environment.Stop)
	api, err = client.NewWithWatch(config, client.Options{Scheme: testScheme()})
	Expect(err).NotTo(HaveOccurred())
	as := rest.CopyConfig(config)
	as.Impersonate.UserName = operatorAccount
	asOperator, err = client.NewWithWatch(as, client.Options{Scheme: testScheme()})
	Expect(err).NotTo(HaveOccurred())
	viaManager = interceptor.NewClient(asOperator, interceptor.Funcs{
		Get: func(ctx context.Context, _ client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			return api.Get(ctx, key, o, opts...)
		},
		List: func(ctx context.Context, _ client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			return api.List(ctx, list, opts...)
		},
	})
})

// enforceOwnerReferences has the API server check the rights that owner references take, as on OpenShift: to change the owners of an object
// takes the right to delete it, and to block the deletion of an owner the right to update its finalizers.
func enforceOwnerReferences(environment *envtest.Environment) {
	environment.ControlPlane.GetAPIServer().Configure().Append("enable-admission-plugins", "OwnerReferencesPermissionEnforcement")
}

func testScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1beta1.AddToScheme(scheme)).To(Succeed())
	return scheme
}

// house is one namespace with an operator in it whose Reconcile the specs call themselves. The operator writes under the shipped roles.
type house struct {
	namespace  string
	reconciler *Reconciler
	events     *events.FakeRecorder
	writes     *atomic.Int32
	elapsed    time.Duration
}

func newHouse(ctx context.Context) *house {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "house-"}}
	Expect(api.Create(ctx, namespace)).To(Succeed())
	grantShippedRoles(ctx, namespace.Name)
	h := &house{namespace: namespace.Name, events: events.NewFakeRecorder(100), writes: &atomic.Int32{}}
	options := testOptions()
	options.Namespace = h.namespace
	h.reconciler = &Reconciler{
		Client:  counting(viaManager, h.writes),
		Live:    asOperator,
		Events:  h.events,
		Options: options,
		Now:     func() time.Time { return time.Now().Add(h.elapsed) },
	}
	return h
}

// counting counts every write that reaches the API server.
func counting(c client.WithWatch, n *atomic.Int32) client.WithWatch {
	return interceptor.NewClient(c, interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			n.Add(1)
			return c.Apply(ctx, o, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			n.Add(1)
			return c.Delete(ctx, o, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			n.Add(1)
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	})
}

// refusingSecrets may not create Secrets.
func refusingSecrets(c client.WithWatch) client.Client {
	return interceptor.NewClient(c, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if _, secret := o.(*corev1.Secret); secret {
				return apierrors.NewForbidden(corev1.Resource("secrets"), o.GetName(), errors.New("no right"))
			}
			return c.Create(ctx, o, opts...)
		},
	})
}

// remembering reads old states of objects, as a cache does that is behind.
func remembering(c client.WithWatch, old ...client.Object) client.Client {
	return interceptor.NewClient(c, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			for _, stale := range old {
				if reflect.TypeOf(stale) == reflect.TypeOf(o) && client.ObjectKeyFromObject(stale) == key {
					reflect.ValueOf(o).Elem().Set(reflect.ValueOf(stale.DeepCopyObject()).Elem())
					return nil
				}
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
}

func (h *house) resource(spec v1beta1.MetalLBSpec) *v1beta1.MetalLB {
	return &v1beta1.MetalLB{ObjectMeta: metav1.ObjectMeta{Name: ResourceName, Namespace: h.namespace}, Spec: spec}
}

func (h *house) gossipKey() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: GossipSecret, Namespace: h.namespace}}
}

// install creates the Secret and the resource, and reconciles once.
func (h *house) install(ctx context.Context, spec v1beta1.MetalLBSpec) *v1beta1.MetalLB {
	GinkgoHelper()
	cr := h.resource(spec)
	Expect(api.Create(ctx, h.gossipKey())).To(Succeed())
	Expect(api.Create(ctx, cr)).To(Succeed())
	h.reconcile(ctx, cr)
	return cr
}

// reconcile reconciles a resource, reads it anew and checks what must hold of every status.
func (h *house) reconcile(ctx context.Context, cr *v1beta1.MetalLB) ctrl.Result {
	GinkgoHelper()
	result, err := h.reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(cr)})
	Expect(err).NotTo(HaveOccurred())
	h.check(ctx, cr)
	return result
}

// fail reconciles a resource and expects this error.
func (h *house) fail(ctx context.Context, cr *v1beta1.MetalLB, text string) {
	GinkgoHelper()
	_, err := h.reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(cr)})
	Expect(err).To(MatchError(ContainSubstring(text)))
	h.check(ctx, cr)
}

func (h *house) check(ctx context.Context, cr *v1beta1.MetalLB) {
	GinkgoHelper()
	Expect(api.Get(ctx, client.ObjectKeyFromObject(cr), cr)).To(Succeed())
	Expect(cr.Status.ObservedGeneration).To(Equal(cr.Generation))
	for _, c := range cr.Status.Conditions {
		Expect(c.ObservedGeneration).To(Equal(cr.Generation), c.Type)
		Expect(c.Message).NotTo(BeEmpty(), c.Type)
	}
	for _, kind := range []string{v1beta1.ConditionAvailable, v1beta1.ConditionProgressing, v1beta1.ConditionDegraded, v1beta1.ConditionUpgradeable} {
		Expect(meta.FindStatusCondition(cr.Status.Conditions, kind)).NotTo(BeNil(), kind)
	}
}

func (h *house) deployment(ctx context.Context, name string) *appsv1.Deployment {
	GinkgoHelper()
	d := &appsv1.Deployment{}
	Expect(api.Get(ctx, client.ObjectKey{Namespace: h.namespace, Name: name}, d)).To(Succeed())
	return d
}

func (h *house) speaker(ctx context.Context) *appsv1.DaemonSet {
	GinkgoHelper()
	ds := &appsv1.DaemonSet{}
	Expect(api.Get(ctx, client.ObjectKey{Namespace: h.namespace, Name: speakerName}, ds)).To(Succeed())
	return ds
}

// ready says in the status of a Deployment what its controller would.
func (h *house) ready(ctx context.Context, name string) {
	GinkgoHelper()
	d := h.deployment(ctx, name)
	n := *d.Spec.Replicas
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n}
	Expect(api.Status().Update(ctx, d)).To(Succeed())
}

// speakers says in the status of the DaemonSet that some of all pods exist and are available.
func (h *house) speakers(ctx context.Context, have, want int32) {
	GinkgoHelper()
	ds := h.speaker(ctx)
	ds.Status = appsv1.DaemonSetStatus{
		ObservedGeneration: ds.Generation, DesiredNumberScheduled: want,
		CurrentNumberScheduled: have, UpdatedNumberScheduled: have, NumberReady: have, NumberAvailable: have,
	}
	Expect(api.Status().Update(ctx, ds)).To(Succeed())
}

func (h *house) allReady(ctx context.Context) {
	GinkgoHelper()
	h.ready(ctx, controllerName)
	h.ready(ctx, copierName)
	h.speakers(ctx, 3, 3)
}

// haveCondition matches a resource with a condition of this status and reason.
func haveCondition(kind string, status metav1.ConditionStatus, why string) OmegaMatcher {
	return WithTransform(func(cr *v1beta1.MetalLB) string {
		c := meta.FindStatusCondition(cr.Status.Conditions, kind)
		if c == nil {
			return "no condition " + kind
		}
		return string(c.Status) + "/" + c.Reason
	}, Equal(string(status)+"/"+why))
}
