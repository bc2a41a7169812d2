// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// follower watches the Services of a namespace. It belongs to one goroutine.
type follower struct {
	watch watch.Interface
	// all are the addresses of the Services that have one, by name.
	all map[string]string
}

func (b bench) follow(ctx context.Context, namespace string) (*follower, error) {
	services, err := b.Client.Watch(ctx, &corev1.ServiceList{}, client.InNamespace(namespace))
	if err != nil {
		return nil, fmt.Errorf("watching services: %w", err)
	}
	return &follower{services, map[string]string{}}, nil
}

func (f *follower) stop() { f.watch.Stop() }

// addressed returns when the watch had seen so many Services with an address.
func (f *follower) addressed(ctx context.Context, services int) (time.Time, error) {
	return f.until(ctx, func() bool { return len(f.all) >= services })
}

// named returns when the watch had seen an address of this Service.
func (f *follower) named(ctx context.Context, name string) (time.Time, error) {
	return f.until(ctx, func() bool { return f.all[name] != "" })
}

func (f *follower) until(ctx context.Context, done func() bool) (time.Time, error) {
	for !done() {
		select {
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%d Services have an address: %w", len(f.all), ctx.Err())
		case event, open := <-f.watch.ResultChan():
			if !open {
				return time.Time{}, errors.New("the watch of services ended")
			}
			if s, ok := event.Object.(*corev1.Service); ok {
				for name, address := range addressOf(s) {
					f.all[name] = address
				}
			}
		}
	}
	return time.Now(), nil
}

// addressOf is the name and the address of a Service, nothing if it has none.
func addressOf(s *corev1.Service) map[string]string {
	if len(s.Status.LoadBalancer.Ingress) == 0 {
		return nil
	}
	return map[string]string{s.Name: s.Status.LoadBalancer.Ingress[0].IP}
}
