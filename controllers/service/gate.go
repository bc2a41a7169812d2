// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// errNotSent is what callers meet whose write did not leave this process.
var errNotSent = errors.New("not writing")

// gate is a client that writes only while this process may: a leader that was paused must not write afterwards what it decided before.
// Every write ends when the permission does. Reading is always allowed.
type gate struct {
	client.Client
	may func() (until time.Time, err error)
}

// gated returns the client itself when everybody may write at any time.
func gated(c client.Client, may func() (time.Time, error)) client.Client {
	if may == nil {
		return c
	}
	return gate{c, may}
}

func (g gate) pass(ctx context.Context, write func(context.Context) error) error {
	until, err := g.may()
	if err != nil {
		return fmt.Errorf("%w: %w", errNotSent, err)
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	return write(ctx)
}

func (g gate) Create(ctx context.Context, o client.Object, options ...client.CreateOption) error {
	return g.pass(ctx, func(ctx context.Context) error { return g.Client.Create(ctx, o, options...) })
}

func (g gate) Update(ctx context.Context, o client.Object, options ...client.UpdateOption) error {
	return g.pass(ctx, func(ctx context.Context) error { return g.Client.Update(ctx, o, options...) })
}

func (g gate) Patch(ctx context.Context, o client.Object, p client.Patch, options ...client.PatchOption) error {
	return g.pass(ctx, func(ctx context.Context) error { return g.Client.Patch(ctx, o, p, options...) })
}

func (g gate) Apply(ctx context.Context, o runtime.ApplyConfiguration, options ...client.ApplyOption) error {
	return g.pass(ctx, func(ctx context.Context) error { return g.Client.Apply(ctx, o, options...) })
}

func (g gate) Delete(ctx context.Context, o client.Object, options ...client.DeleteOption) error {
	return g.pass(ctx, func(ctx context.Context) error { return g.Client.Delete(ctx, o, options...) })
}

func (g gate) DeleteAllOf(ctx context.Context, o client.Object, options ...client.DeleteAllOfOption) error {
	return g.pass(ctx, func(ctx context.Context) error { return g.Client.DeleteAllOf(ctx, o, options...) })
}

func (g gate) Status() client.SubResourceWriter {
	return subResourceGate{g.Client.Status(), g}
}

func (g gate) SubResource(name string) client.SubResourceClient {
	c := g.Client.SubResource(name)
	return struct {
		client.SubResourceReader
		client.SubResourceWriter
	}{c, subResourceGate{c, g}}
}

// subResourceGate is the same for a part of an object.
type subResourceGate struct {
	writer client.SubResourceWriter
	gate   gate
}

func (s subResourceGate) Create(ctx context.Context, o, sub client.Object, options ...client.SubResourceCreateOption) error {
	return s.gate.pass(ctx, func(ctx context.Context) error { return s.writer.Create(ctx, o, sub, options...) })
}

func (s subResourceGate) Update(ctx context.Context, o client.Object, options ...client.SubResourceUpdateOption) error {
	return s.gate.pass(ctx, func(ctx context.Context) error { return s.writer.Update(ctx, o, options...) })
}

func (s subResourceGate) Patch(ctx context.Context, o client.Object, p client.Patch, options ...client.SubResourcePatchOption) error {
	return s.gate.pass(ctx, func(ctx context.Context) error { return s.writer.Patch(ctx, o, p, options...) })
}

func (s subResourceGate) Apply(ctx context.Context, o runtime.ApplyConfiguration, options ...client.SubResourceApplyOption) error {
	return s.gate.pass(ctx, func(ctx context.Context) error { return s.writer.Apply(ctx, o, options...) })
}
