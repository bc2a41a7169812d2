// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// witness counts the writes that reach it and notes until when they may last.
type witness struct {
	client.Client
	writes int
	until  time.Time
}

func (w *witness) saw(ctx context.Context) error {
	w.writes++
	w.until, _ = ctx.Deadline()
	return nil
}

func (w *witness) Create(ctx context.Context, _ client.Object, _ ...client.CreateOption) error {
	return w.saw(ctx)
}

func (w *witness) Update(ctx context.Context, _ client.Object, _ ...client.UpdateOption) error {
	return w.saw(ctx)
}

func (w *witness) Patch(ctx context.Context, _ client.Object, _ client.Patch, _ ...client.PatchOption) error {
	return w.saw(ctx)
}

func (w *witness) Apply(ctx context.Context, _ runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
	return w.saw(ctx)
}

func (w *witness) Delete(ctx context.Context, _ client.Object, _ ...client.DeleteOption) error {
	return w.saw(ctx)
}

func (w *witness) DeleteAllOf(ctx context.Context, _ client.Object, _ ...client.DeleteAllOfOption) error {
	return w.saw(ctx)
}

func (w *witness) Status() client.SubResourceWriter { return statusWitness{w} }

func (w *witness) SubResource(string) client.SubResourceClient {
	return struct {
		client.SubResourceReader
		client.SubResourceWriter
	}{nil, statusWitness{w}}
}

type statusWitness struct{ *witness }

func (w statusWitness) Create(ctx context.Context, _, _ client.Object, _ ...client.SubResourceCreateOption) error {
	return w.saw(ctx)
}

func (w statusWitness) Update(ctx context.Context, _ client.Object, _ ...client.SubResourceUpdateOption) error {
	return w.saw(ctx)
}

func (w statusWitness) Patch(ctx context.Context, _ client.Object, _ client.Patch, _ ...client.SubResourcePatchOption) error {
	return w.saw(ctx)
}

func (w statusWitness) Apply(ctx context.Context, _ runtime.ApplyConfiguration, _ ...client.SubResourceApplyOption) error {
	return w.saw(ctx)
}

func TestEveryWriteAsksFirst(t *testing.T) {
	s, patch := &corev1.Service{}, client.MergeFrom(&corev1.Service{})
	for name, write := range map[string]func(context.Context, client.Client) error{
		"create":             func(ctx context.Context, c client.Client) error { return c.Create(ctx, s) },
		"update":             func(ctx context.Context, c client.Client) error { return c.Update(ctx, s) },
		"patch":              func(ctx context.Context, c client.Client) error { return c.Patch(ctx, s, patch) },
		"apply":              func(ctx context.Context, c client.Client) error { return c.Apply(ctx, nil) },
		"delete":             func(ctx context.Context, c client.Client) error { return c.Delete(ctx, s) },
		"delete all of":      func(ctx context.Context, c client.Client) error { return c.DeleteAllOf(ctx, s) },
		"create status":      func(ctx context.Context, c client.Client) error { return c.Status().Create(ctx, s, s) },
		"update status":      func(ctx context.Context, c client.Client) error { return c.Status().Update(ctx, s) },
		"patch status":       func(ctx context.Context, c client.Client) error { return c.Status().Patch(ctx, s, patch) },
		"apply status":       func(ctx context.Context, c client.Client) error { return c.Status().Apply(ctx, nil) },
		"update subresource": func(ctx context.Context, c client.Client) error { return c.SubResource("scale").Update(ctx, s) },
	} {
		t.Run(name, func(t *testing.T) {
			until, refusal := time.Now().Add(time.Hour), error(nil)
			w := &witness{}
			c := Fenced(w, func() (time.Time, error) { return until, refusal })
			if err := write(t.Context(), c); err != nil || w.writes != 1 || !w.until.Equal(until) {
				t.Errorf("while it may: %v, %d writes, until %v, want %v", err, w.writes, w.until, until)
			}
			refusal = errors.New("not the leader")
			if err := write(t.Context(), c); !errors.Is(err, refusal) || w.writes != 1 {
				t.Errorf("while it may not: %v, %d writes", err, w.writes)
			}
		})
	}
}

func TestEverybodyMayWriteWithoutElection(t *testing.T) {
	w := &witness{}
	if err := Fenced(w, nil).Create(t.Context(), &corev1.Service{}); err != nil || w.writes != 1 || !w.until.IsZero() {
		t.Errorf("%v, %d writes, until %v", err, w.writes, w.until)
	}
}
