// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ErrNotSent is the error of a write that did not leave this process.
var ErrNotSent = errors.New("not writing")

// fence is a client that writes only while this process may: a leader that was paused must not write afterwards what it decided before.
// Every write ends when the permission does. Reading is always allowed.
type fence struct {
	client.Client
	may func() (until time.Time, err error)
}

// Fenced returns a client that asks before every write until when it may write, or why not; nil allows everything and returns the client
// itself.
func Fenced(c client.Client, may func() (time.Time, error)) client.Client {
	if may == nil {
		return c
	}
	return fence{c, may}
}

func (f fence) pass(ctx context.Context, write func(context.Context) error) error {
	until, err := f.may()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	return write(ctx)
}

func (f fence) Create(ctx context.Context, o client.Object, options ...client.CreateOption) error {
	return f.pass(ctx, func(ctx context.Context) error { return f.Client.Create(ctx, o, options...) })
}

func (f fence) Update(ctx context.Context, o client.Object, options ...client.UpdateOption) error {
	return f.pass(ctx, func(ctx context.Context) error { return f.Client.Update(ctx, o, options...) })
}

func (f fence) Patch(ctx context.Context, o client.Object, p client.Patch, options ...client.PatchOption) error {
	return f.pass(ctx, func(ctx context.Context) error { return f.Client.Patch(ctx, o, p, options...) })
}

func (f fence) Apply(ctx context.Context, o runtime.ApplyConfiguration, options ...client.ApplyOption) error {
	return f.pass(ctx, func(ctx context.Context) error { return f.Client.Apply(ctx, o, options...) })
}

func (f fence) Delete(ctx context.Context, o client.Object, options ...client.DeleteOption) error {
	return f.pass(ctx, func(ctx context.Context) error { return f.Client.Delete(ctx, o, options...) })
}

func (f fence) DeleteAllOf(ctx context.Context, o client.Object, options ...client.DeleteAllOfOption) error {
	return f.pass(ctx, func(ctx context.Context) error { return f.Client.DeleteAllOf(ctx, o, options...) })
}

func (f fence) Status() client.SubResourceWriter {
	return fencedSubResource{f.Client.Status(), f}
}

func (f fence) SubResource(name string) client.SubResourceClient {
	c := f.Client.SubResource(name)
	return struct {
		client.SubResourceReader
		client.SubResourceWriter
	}{c, fencedSubResource{c, f}}
}

// fencedSubResource is the same for a part of an object.
type fencedSubResource struct {
	writer client.SubResourceWriter
	fence  fence
}

func (s fencedSubResource) Create(ctx context.Context, o, sub client.Object, options ...client.SubResourceCreateOption) error {
	return s.fence.pass(ctx, func(ctx context.Context) error { return s.writer.Create(ctx, o, sub, options...) })
}

func (s fencedSubResource) Update(ctx context.Context, o client.Object, options ...client.SubResourceUpdateOption) error {
	return s.fence.pass(ctx, func(ctx context.Context) error { return s.writer.Update(ctx, o, options...) })
}

func (s fencedSubResource) Patch(ctx context.Context, o client.Object, p client.Patch, options ...client.SubResourcePatchOption) error {
	return s.fence.pass(ctx, func(ctx context.Context) error { return s.writer.Patch(ctx, o, p, options...) })
}

func (s fencedSubResource) Apply(ctx context.Context, o runtime.ApplyConfiguration, options ...client.SubResourceApplyOption) error {
	return s.fence.pass(ctx, func(ctx context.Context) error { return s.writer.Apply(ctx, o, options...) })
}
