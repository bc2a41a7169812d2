// SPDX-License-Identifier: Apache-2.0

package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/v1beta1"
)

// TestTheOrderInWhichACacheListsIsNotSeen lets a controller with a cache that lists in any order pass over the same objects many times. Nodes
// that share addresses and Pod CIDRs, and cluster IPs in a pool, offer several causes for each refusal: the one that is told stays.
func TestTheOrderInWhichACacheListsIsNotSeen(t *testing.T) {
	w := newWorld(rand.New(rand.NewPCG(5, 5)))
	w.apply(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: here}})
	w.apply(&v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "blue", Namespace: here}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"198.18.1.0/24"}}})
	for i := range 6 {
		w.apply(&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i)}, Spec: corev1.NodeSpec{PodCIDRs: []string{fmt.Sprintf("198.18.1.64/%d", 26+i%4)}},
			Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "198.18.1.5"}}},
		})
		ip := fmt.Sprintf("198.18.1.%d", 200+i)
		w.apply(&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("internal-", i), Namespace: here},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: ip, ClusterIPs: []string{ip}, Ports: []corev1.ServicePort{{Port: 80}}},
		})
	}
	for i, asked := range []string{"198.18.1.0", "198.18.1.5", "198.18.1.65", "198.18.1.202"} {
		w.apply(&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("asks-", i), Namespace: here, Annotations: map[string]string{v1beta1.AnnotationLoadBalancerIPs: asked}},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
		})
	}
	p := newProcess(w, Options{Namespace: here}, silence{})
	defer p.end()
	if err := p.settle(); err != nil {
		t.Fatal(err)
	}
	state := func() string {
		text, err := json.Marshal([]any{w.served.of("Service"), w.served.of("IPAddressPool")})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := state()
	for i := range 50 {
		p.requests = addOnce(p.requests, everything)
		if err := p.settle(); err != nil {
			t.Fatal(err)
		}
		if after := state(); after != before {
			t.Fatalf("pass %d wrote\n%s\nbefore it was\n%s", i, after, before)
		}
	}
}

// TestClusterIPsInAPoolTakeOnePassForAll: before Kubernetes 1.33 nothing shows the Service CIDR, and a pool may have the cluster IPs of many
// Services. Each is withheld at once; the pool says so after one pass, also when that fails at first.
func TestClusterIPsInAPoolTakeOnePassForAll(t *testing.T) {
	w := newWorld(nil)
	w.apply(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: here}})
	w.apply(&v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "blue", Namespace: here}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"10.97.0.0/26"}}})
	p := newProcess(w, Options{Namespace: here}, silence{})
	defer p.end()
	if err := p.settle(); err != nil {
		t.Fatal(err)
	}
	passes := 0
	p.judged = func() { passes++ }
	for i := range 20 {
		ip := fmt.Sprintf("10.97.0.%d", i)
		w.apply(&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("internal-", i), Namespace: here},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: ip, ClusterIPs: []string{ip}, Ports: []corev1.ServicePort{{Port: 80}}},
		})
		for p.hear("Service") {
			if err := p.reconcile(0); err != nil {
				t.Fatal(err)
			}
		}
		if counts, _ := p.allocator.Counts("blue"); counts.AvailableIPv4 != int64(64-i-1) {
			t.Errorf("after %d Services %d addresses are available", i+1, counts.AvailableIPv4)
		}
	}
	p.fault = errNoAnswer
	p.ring(w.now.Add(gathering))
	if err := p.reconcile(0); !errors.Is(err, errNoAnswer) || passes > 0 {
		t.Fatalf("after %d passes: %v", passes, err)
	}
	p.fault = nil
	if err := p.settle(); err != nil {
		t.Fatal(err)
	}
	blue, _ := p.writers.board.pool("blue")
	if passes != 1 || blue.note == nil || !strings.Contains(blue.note.Detail, "and 17 more ranges") {
		t.Errorf("after %d passes the pool says %v", passes, blue.note)
	}
}
