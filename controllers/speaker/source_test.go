// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/kube"
)

// What each change of an object leads to: a pass, and before it a new policy.
func TestWhichChangesMatter(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1beta1.AddToScheme, v1beta2.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	peer := bgpPeer("tor", "198.51.100.1")
	status := func(o client.Object) {
		o.(*v1beta2.BGPPeer).Status.Conditions = []metav1.Condition{{Type: "Established"}}
	}
	web := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}}
	web.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
	endpoints := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		Endpoints:  []discoveryv1.Endpoint{{NodeName: ptr.To("n1")}},
	}
	relabel := func(o client.Object) { o.SetLabels(map[string]string{"a": "b"}) }
	for _, row := range []struct {
		name          string
		object        client.Object
		change        func(client.Object)
		stale, passes bool
		// nobody says that a decision no longer looks at it after the change, nor at its end.
		nobody bool
	}{
		{"the status of a BGPPeer", &peer, status, false, false, false},
		{"the spec of a BGPPeer", &peer, func(o client.Object) { o.SetGeneration(2) }, true, true, false},
		{"labels of a pool", &v1beta1.IPAddressPool{}, relabel, true, true, false},
		{"the phase of a namespace", &corev1.Namespace{}, func(o client.Object) { o.(*corev1.Namespace).Status.Phase = "Terminating" }, false, false, false},
		{"labels of a namespace", &corev1.Namespace{}, relabel, true, true, false},
		{"a node that lives", &corev1.Node{}, func(o client.Object) {
			o.(*corev1.Node).Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: "True", LastHeartbeatTime: metav1.NewTime(time.Unix(1, 0))}}
		}, false, false, false},
		{"a node without network", &corev1.Node{}, func(o client.Object) {
			o.(*corev1.Node).Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeNetworkUnavailable, Status: "True"}}
		}, false, true, false},
		{"a node that is cordoned", &corev1.Node{}, func(o client.Object) { o.(*corev1.Node).Spec.Unschedulable = true }, false, true, false},
		{"another address of a node", &corev1.Node{}, func(o client.Object) {
			o.(*corev1.Node).Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "198.51.100.7"}}
		}, false, true, false},
		{"labels of a node", &corev1.Node{}, relabel, true, true, false},
		{"a Service", web, relabel, false, true, false},
		{"a Service of no concern", &corev1.Service{}, relabel, false, false, true},
		{"an annotation of a Service", web, func(o client.Object) { o.SetAnnotations(map[string]string{"a": "b"}) }, false, false, false},
		{"endpoints of another Service", endpoints, func(o client.Object) { o.SetLabels(map[string]string{discoveryv1.LabelServiceName: "db"}) }, false, true, true},
		{"endpoints on another node", endpoints, func(o client.Object) { o.(*discoveryv1.EndpointSlice).Endpoints[0].NodeName = ptr.To("n2") }, false, true, false},
		{"another endpoint on the node", endpoints, func(o client.Object) {
			o.(*discoveryv1.EndpointSlice).Endpoints[0].Addresses = []string{"10.0.0.9"}
		}, false, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			trigger, informers := kube.NewTrigger(), &informertest.FakeInformers{Scheme: scheme}
			s := NewSource(informers, namespace, trigger)
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			informer, err := informers.FakeInformerFor(t.Context(), row.object)
			if err != nil {
				t.Fatal(err)
			}
			happened := func() (stale, passes bool) {
				select {
				case <-trigger.C():
					passes = true
				default:
				}
				return s.stale.Swap(false), passes
			}
			services, err := informers.FakeInformerFor(t.Context(), &corev1.Service{})
			if err != nil {
				t.Fatal(err)
			}
			services.Add(slimmed[metav1.Object](t, web.DeepCopy()))
			old, changed := row.object, row.object.DeepCopyObject().(client.Object)
			changed.SetResourceVersion("2")
			row.change(changed)
			// What a cache made with CacheOptions hands over.
			before, after := slimmed[metav1.Object](t, old.DeepCopyObject()), slimmed[metav1.Object](t, changed)
			informer.Add(before)
			happened()
			informer.Update(before, after)
			if stale, passes := happened(); stale != row.stale || passes != row.passes {
				t.Errorf("changed: stale %v, pass %v; want %v, %v", stale, passes, row.stale, row.passes)
			}
			informer.Delete(after)
			if _, passes := happened(); passes == row.nobody {
				t.Errorf("gone: pass %v", passes)
			}
		})
	}
}
