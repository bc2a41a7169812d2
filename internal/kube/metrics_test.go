// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// answering is a client that gives every write the same answer.
type answering struct {
	client.Client
	err error
}

func (a answering) Create(context.Context, client.Object, ...client.CreateOption) error { return a.err }
func (a answering) Update(context.Context, client.Object, ...client.UpdateOption) error { return a.err }
func (a answering) Patch(context.Context, client.Object, client.Patch, ...client.PatchOption) error {
	return a.err
}

func (a answering) Apply(context.Context, runtime.ApplyConfiguration, ...client.ApplyOption) error {
	return a.err
}
func (a answering) Delete(context.Context, client.Object, ...client.DeleteOption) error { return a.err }
func (a answering) Status() client.SubResourceWriter                                    { return answeringStatus{err: a.err} }

type answeringStatus struct {
	client.SubResourceWriter
	err error
}

func (a answeringStatus) Update(context.Context, client.Object, ...client.SubResourceUpdateOption) error {
	return a.err
}

func (a answeringStatus) Patch(context.Context, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
	return a.err
}

func TestEveryWriteIsCounted(t *testing.T) {
	ctx, refused := t.Context(), errors.New("refused")
	writes := map[string]func(client.Client) error{
		"create":        func(c client.Client) error { return c.Create(ctx, nil) },
		"update":        func(c client.Client) error { return c.Update(ctx, nil) },
		"patch":         func(c client.Client) error { return c.Patch(ctx, nil, nil) },
		"apply":         func(c client.Client) error { return c.Apply(ctx, nil) },
		"delete":        func(c client.Client) error { return c.Delete(ctx, nil) },
		"status update": func(c client.Client) error { return c.Status().Update(ctx, nil) },
		"status patch":  func(c client.Client) error { return c.Status().Patch(ctx, nil, nil) },
	}
	for name, write := range writes {
		m := NewClientMetrics()
		if err := write(m.Counting(answering{})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := write(m.Counting(answering{err: refused})); !errors.Is(err, refused) {
			t.Errorf("%s: the error is %v", name, err)
		}
		if updates, failures := testutil.ToFloat64(m.updates), testutil.ToFloat64(m.failures); updates != 2 || failures != 1 {
			t.Errorf("%s: %v writes, %v errors", name, updates, failures)
		}
	}
}

func TestConfigurationGauges(t *testing.T) {
	m := NewClientMetrics()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	expect := func(when string, loaded, stale float64) {
		t.Helper()
		if l, s := testutil.ToFloat64(m.loaded), testutil.ToFloat64(m.stale); l != loaded || s != stale {
			t.Errorf("%s: loaded %v, stale %v", when, l, s)
		}
	}
	expect("at first", 0, 0)
	m.Judged(2)
	expect("with problems", 1, 1)
	m.Judged(0)
	expect("after they are solved", 1, 0)
	if n, err := testutil.GatherAndCount(registry); n != 4 || err != nil {
		t.Errorf("%d series, %v", n, err)
	}
}
