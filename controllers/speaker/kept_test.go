// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"metalsuite.io/api/v1beta1"
)

func slimmed[T any](t *testing.T, object any) T {
	t.Helper()
	got, err := slim("")(object)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := slim("")(got); err != nil || again != got {
		t.Errorf("transformed again it is %v: %v", again, err)
	}
	return got.(T)
}

func TestWhatIsKeptOfAnObject(t *testing.T) {
	meta := metav1.ObjectMeta{
		Namespace: "default", Name: "web", UID: "7", ResourceVersion: "3", Labels: map[string]string{discoveryv1.LabelServiceName: "front", "app": "web"},
		Annotations: map[string]string{v1beta1.AnnotationAllocatedFromPool: "blue", v1beta1.AnnotationAllowSharedIP: "k"},
	}
	slice := slimmed[*keptSlice](t, &discoveryv1.EndpointSlice{ObjectMeta: *meta.DeepCopy(), Endpoints: []discoveryv1.Endpoint{
		{Addresses: []string{"10.0.0.1"}, NodeName: ptr.To("n1"), TargetRef: &corev1.ObjectReference{Name: "pod"}},
		{NodeName: ptr.To("n2"), Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}},
	}})
	if key, err := toolscache.MetaNamespaceKeyFunc(slice); err != nil || key != "default/web" {
		t.Errorf("the key is %q: %v", key, err)
	}
	if slice.GetUID() != "" || slice.GetLabels() != nil || slice.GetManagedFields() != nil {
		t.Errorf("more is kept than is said: %+v", slice)
	}
	if slice.service.String() != "default/front" || fmt.Sprint(slice.nodes) != "[n1]" || slice.GetResourceVersion() != "3" {
		t.Errorf("kept is %+v", slice)
	}

	service := &corev1.Service{ObjectMeta: *meta.DeepCopy(), Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}}}
	if got := slimmed[*keptService](t, service); got.service != nil || got.uid != "7" {
		t.Errorf("of a Service without address kept is %+v", got)
	}
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
	got := slimmed[*keptService](t, service)
	if got.service == nil || got.service.Key != "default/web" || got.service.Pool != "blue" || !got.service.Shares || fmt.Sprint(got.service.Addresses) != "[192.0.2.1]" {
		t.Errorf("of a Service kept is %+v", got.service)
	}
	service.Spec.LoadBalancerClass = ptr.To("other.example/lb")
	if got := slimmed[*keptService](t, service); got.service != nil {
		t.Errorf("of a Service of another class kept is %+v", got.service)
	}
}

func TestWhatIsKeptOfAStatusTellsWhetherItIsRight(t *testing.T) {
	made := func() *v1beta1.ServiceBGPStatus {
		return &v1beta1.ServiceBGPStatus{
			ObjectMeta: metav1.ObjectMeta{
				Name: "bgp-1", Namespace: namespace, Labels: map[string]string{v1beta1.LabelServiceName: "web", v1beta1.LabelServiceNamespace: "default", v1beta1.LabelNode: "n1"},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "speaker-x", UID: "123"}},
			},
			Status: v1beta1.ServiceBGPStatusStatus{Node: "n1", ServiceName: "web", ServiceNamespace: "default", Peers: []string{"tor", "spine"}},
		}
	}
	want := digestsOf(made())
	for _, row := range []struct {
		what             string
		change           func(*v1beta1.ServiceBGPStatus)
		metadata, status bool
	}{
		{"nothing", func(*v1beta1.ServiceBGPStatus) {}, true, true},
		{"what others write", func(o *v1beta1.ServiceBGPStatus) { o.Labels["theirs"], o.ResourceVersion = "x", "9" }, true, true},
		{"a label", func(o *v1beta1.ServiceBGPStatus) { o.Labels[v1beta1.LabelServiceName] = "db" }, false, true},
		{"the owner", func(o *v1beta1.ServiceBGPStatus) { o.OwnerReferences[0].UID = "124" }, false, true},
		{"no owner", func(o *v1beta1.ServiceBGPStatus) { o.OwnerReferences = nil }, false, true},
		{"no status", func(o *v1beta1.ServiceBGPStatus) { o.Status = v1beta1.ServiceBGPStatusStatus{} }, true, false},
		{"fewer peers", func(o *v1beta1.ServiceBGPStatus) { o.Status.Peers = o.Status.Peers[:1] }, true, false},
		{"one peer with the name of two", func(o *v1beta1.ServiceBGPStatus) { o.Status.Peers = []string{"torspine"} }, true, false},
	} {
		object := made()
		row.change(object)
		got := slimmed[*keptStatus](t, object)
		if (got.metadata == want.metadata) != row.metadata || (got.status == want.status) != row.status {
			t.Errorf("%s: the metadata are right: %v, the status is: %v", row.what, got.metadata == want.metadata, got.status == want.status)
		}
		if says := got.says(made(), false); says != (row.metadata && row.status) {
			t.Errorf("%s: it says what it is to say: %v", row.what, says)
		}
		if says := got.says(made(), true); says != (row.metadata && (row.status || row.what == "no status")) {
			t.Errorf("%s, just made: it says what it is to say: %v", row.what, says)
		}
		if got.says(nil, true) {
			t.Errorf("%s: it may stay although nothing is to be said", row.what)
		}
		if got.service != "default/web" {
			t.Errorf("%s: it is on %s", row.what, got.service)
		}
	}
}

func TestSlimNodesLeadToTheSameDecision(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: types.UID("1"), Labels: map[string]string{v1beta1.LabelDrain: ""}}, Spec: corev1.NodeSpec{Unschedulable: true}}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.9"}}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue}}
	node.Status.Images = make([]corev1.ContainerImage, 50)
	known := observeNode(node.DeepCopy())
	if got := observeNode(slimmed[*corev1.Node](t, node)); !reflect.DeepEqual(got, known) || node.Status.Images != nil {
		t.Errorf("the node is %+v, want %+v", got, known)
	}
}

func TestRepeatedTextsAreThereOnce(t *testing.T) {
	texts := repeated{}
	first := strings.Clone("n1")
	if texts.one(first); unsafe.StringData(texts.one(strings.Clone("n1"))) != unsafe.StringData(first) {
		t.Error("the same text is there twice")
	}
	for i := range 2 * mostRepeated {
		if text := fmt.Sprint(i); texts.one(text) != text {
			t.Fatalf("%s became another text", text)
		}
	}
	if len(texts.texts) > mostRepeated {
		t.Errorf("%d texts are remembered", len(texts.texts))
	}
}
