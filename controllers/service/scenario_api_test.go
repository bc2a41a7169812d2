// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
)

// Every scenario again, with the real manager and a real API server that fills in what it always does.
var _ = Describe("Scenario", func() {
	for _, file := range scenarioFiles() {
		s, err := readScenario(file, "any")
		if err != nil {
			panic(err)
		}
		if s.MemoryOnly != "" {
			continue
		}
		It(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(ctx context.Context) {
			c := newCluster(ctx)
			s, err := readScenario(file, c.namespace)
			Expect(err).NotTo(HaveOccurred())
			c.options.Class = s.Class
			c.start()
			for _, step := range s.Steps {
				By(step.Step)
				c.play(ctx, step)
			}
		})
	}
})

const fast = 10 * time.Millisecond

func (c *cluster) play(ctx context.Context, s step) {
	GinkgoHelper()
	had := c.toldInAll(ctx, s)
	if s.Stop {
		c.stop()
	}
	c.applyAll(ctx, s.Apply)
	for _, reference := range s.Delete {
		o, err := named(reference, c.namespace)
		Expect(err).NotTo(HaveOccurred())
		Expect(api.Delete(ctx, o)).To(Succeed())
	}
	if s.Class != nil {
		c.options.Class = *s.Class
	}
	if s.Restart {
		if c.stop != nil {
			c.stop()
		}
		c.start()
	}
	if c.stop == nil {
		return
	}
	if c.differences(ctx, s) == "" {
		c.ring(ctx)
	}
	Eventually(func() string { return c.differences(ctx, s) }).WithTimeout(10*time.Second + s.Pass.Duration).WithPolling(fast).Should(BeEmpty())
	for name, want := range s.Expect.Services {
		for _, r := range want.Events {
			if had[name][r] == 0 { // recurrences are counted late, in a series
				Eventually(told(ctx, c.named(ctx, "Service/"+name))).WithPolling(fast).Should(HaveKey(r), name)
			}
		}
	}
}

// applyAll applies objects in their order. News of pools and news of Services reach a controller on ways of their own, so Services wait until
// it has seen the pools before them.
func (c *cluster) applyAll(ctx context.Context, all []json.RawMessage) {
	GinkgoHelper()
	pending := false
	for _, raw := range all {
		raw = timed(raw, time.Now())
		o, err := object(raw, c.namespace)
		Expect(err).NotTo(HaveOccurred())
		if kindOf(o) == "Service" && pending && c.stop != nil {
			Eventually(func() bool { return c.judged(ctx) }).WithPolling(fast).Should(BeTrue())
		}
		pending = kindOf(o) != "Service"
		c.apply(ctx, o, raw)
	}
}

func (c *cluster) toldInAll(ctx context.Context, s step) map[string]map[string]int {
	GinkgoHelper()
	all := map[string]map[string]int{}
	for name, want := range s.Expect.Services {
		if len(want.Events) == 0 {
			continue
		}
		o, err := named("Service/"+name, c.namespace)
		Expect(err).NotTo(HaveOccurred())
		if api.Get(ctx, client.ObjectKeyFromObject(o), o) == nil {
			all[name], err = told(ctx, o)()
			Expect(err).NotTo(HaveOccurred())
		}
	}
	return all
}

// named reads the object of a reference.
func (c *cluster) named(ctx context.Context, reference string) client.Object {
	GinkgoHelper()
	o, err := named(reference, c.namespace)
	Expect(err).NotTo(HaveOccurred())
	Expect(api.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed(), reference)
	return o
}

// differences says how the cluster differs from what is expected; empty when it does not.
func (c *cluster) differences(ctx context.Context, s step) string {
	GinkgoHelper()
	var list []string
	for name, want := range s.Expect.Services {
		if d := want.differences(c.named(ctx, "Service/"+name).(*corev1.Service)); d != "" {
			list = append(list, "Service "+name+" "+d)
		}
	}
	for name, want := range s.Expect.Pools {
		if d := want.differences(c.named(ctx, "IPAddressPool/"+name).(*v1beta1.IPAddressPool)); d != "" {
			list = append(list, "pool "+name+": "+d)
		}
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// ring waits until the controller has seen what was done so far: it has judged every pool as it is now, and decided on a Service that came
// last. So what holds after that was left alone on purpose.
func (c *cluster) ring(ctx context.Context) {
	GinkgoHelper()
	Eventually(func() bool { return c.judged(ctx) }).WithPolling(fast).Should(BeTrue())
	bell := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "bell-", Namespace: c.namespace, Annotations: map[string]string{v1beta1.AnnotationLoadBalancerIPs: "bell"}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 1}}},
	}
	if class := c.options.Class; class != "" {
		bell.Spec.LoadBalancerClass = &class
	}
	Expect(api.Create(ctx, bell)).To(Succeed())
	Eventually(fresh(ctx, bell)).WithPolling(fast).Should(WithTransform(verdict, Not(BeEmpty())))
	Expect(api.Delete(ctx, bell)).To(Succeed())
}

func (c *cluster) judged(ctx context.Context) bool {
	GinkgoHelper()
	var pools v1beta1.IPAddressPoolList
	Expect(api.List(ctx, &pools, client.InNamespace(c.namespace))).To(Succeed())
	return !slices.ContainsFunc(pools.Items, func(p v1beta1.IPAddressPool) bool {
		valid := meta.FindStatusCondition(p.Status.Conditions, v1beta1.ConditionValid)
		return valid == nil || valid.ObservedGeneration != p.Generation
	})
}

// apply does what kubectl apply --server-side does, and writes a status if one is given; an AddressConflict is nothing but a status.
func (c *cluster) apply(ctx context.Context, typed client.Object, raw json.RawMessage) {
	GinkgoHelper()
	u := &unstructured.Unstructured{}
	Expect(json.Unmarshal(raw, &u.Object)).To(Succeed())
	u.SetNamespace(typed.GetNamespace())
	status, given := u.Object["status"]
	if _, whole := typed.(*v1beta1.AddressConflict); whole {
		given = false
	} else {
		delete(u.Object, "status")
	}
	c.cleanUp(typed)
	Expect(api.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("user"), client.ForceOwnership)).To(Succeed(), fmt.Sprint(typed.GetName()))
	if !given {
		return
	}
	text, err := json.Marshal(map[string]any{"status": status})
	Expect(err).NotTo(HaveOccurred())
	Expect(api.Status().Patch(ctx, typed, client.RawPatch("application/merge-patch+json", text))).To(Succeed())
}

// cleanUp takes away after the scenario what is not in the cluster's own namespace.
func (c *cluster) cleanUp(o client.Object) {
	if o.GetNamespace() == c.namespace || kindOf(o) == "Namespace" { // an API server without controllers keeps namespaces
		return
	}
	DeferCleanup(func(ctx context.Context) { Expect(client.IgnoreNotFound(api.Delete(ctx, o))).To(Succeed()) })
}
