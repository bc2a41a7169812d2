// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"slices"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// history is every state in which the API server has had the Services since a moment.
type history struct {
	mu sync.Mutex
	// addresses are, by Service, what its status named, one after the other.
	addresses map[string][]string
}

// follow starts a history that goes on until the spec ends.
func follow(ctx context.Context) *history {
	GinkgoHelper()
	h := &history{addresses: map[string][]string{}}
	var now corev1.ServiceList
	Expect(api.List(ctx, &now, client.InNamespace(namespace))).To(Succeed())
	for i := range now.Items {
		h.note(&now.Items[i])
	}
	watcher, err := api.Watch(ctx, &corev1.ServiceList{}, client.InNamespace(namespace), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: now.ResourceVersion}})
	Expect(err).NotTo(HaveOccurred())
	var group sync.WaitGroup
	group.Go(func() { h.read(watcher) })
	DeferCleanup(func() { watcher.Stop(); group.Wait() })
	return h
}

func (h *history) read(watcher watch.Interface) {
	for e := range watcher.ResultChan() {
		if s, ok := e.Object.(*corev1.Service); ok {
			h.mu.Lock()
			h.note(s)
			h.mu.Unlock()
		}
	}
}

func (h *history) note(s *corev1.Service) {
	address := ""
	if ingress := s.Status.LoadBalancer.Ingress; len(ingress) > 0 {
		address = ingress[0].IP
	}
	if list := h.addresses[s.Name]; len(list) == 0 || list[len(list)-1] != address {
		h.addresses[s.Name] = append(list, address)
	}
}

// addressed returns how many Services have an address.
func (h *history) addressed() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, list := range h.addresses {
		if list[len(list)-1] != "" {
			n++
		}
	}
	return n
}

// of returns what the status of a Service named, one after the other; the empty text stands for nothing.
func (h *history) of(name string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.addresses[name])
}
