// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/policy"
)

// change is one change of one object, with all that it is judged by.
type change struct {
	// object is what changes.
	object policy.ObjectRef
	// from is nil when the object is created, to when it is deleted.
	from, to client.Object
	// objects are those after the change; before and after are what they and the former ones say.
	objects       policy.Objects
	before, after *policy.Policy
}

// check looks at a change for more than problems and adds to the verdict. An error means that it could not look.
type check func(ctx context.Context, reader client.Reader, c change, v *verdict) error

// profileChange refuses to delete a BFDProfile that a BGPPeer uses.
func profileChange(_ context.Context, _ client.Reader, c change, v *verdict) error {
	if c.to != nil {
		return nil
	}
	uses := func(p v1beta2.BGPPeer) bool { return p.Spec.BFDProfile == c.object.Name }
	if i := slices.IndexFunc(c.objects.BGPPeers, uses); i >= 0 {
		v.refuse("failed to delete BFDProfile %q: BGPPeer %q uses it", c.object.Name, c.objects.BGPPeers[i].Name)
	}
	return nil
}

// peerChange tells about fields that are accepted and do nothing, when they are set.
func peerChange(_ context.Context, _ client.Reader, c change, v *verdict) error {
	peer, ok := c.to.(*v1beta2.BGPPeer)
	if !ok {
		return nil
	}
	old, ok := c.from.(*v1beta2.BGPPeer)
	if !ok {
		old = &v1beta2.BGPPeer{}
	}
	if peer.Spec.DisableMP && !old.Spec.DisableMP { //nolint:staticcheck // The deprecated field is what the warning is about.
		v.warn("BGPPeer %q: disableMP is deprecated and has no effect", c.object.Name)
	}
	if n := peer.Spec.PasswordSecret.Namespace; n != "" && n != peer.Namespace && n != old.Spec.PasswordSecret.Namespace {
		v.warn("BGPPeer %q: passwordSecret.namespace is ignored: the Secret is looked up in namespace %q", c.object.Name, peer.Namespace)
	}
	return nil
}

// poolChange tells which Services lose addresses by a change of a pool, and which addresses the pool has in vain.
func poolChange(ctx context.Context, reader client.Reader, c change, v *verdict) error {
	from, _ := c.from.(*v1beta1.IPAddressPool)
	to, _ := c.to.(*v1beta1.IPAddressPool)
	if from != nil && to != nil && equality.Semantic.DeepEqual(from.Spec, to.Spec) {
		return nil
	}
	var errs []error
	if from != nil {
		losers, err := findLosers(ctx, reader, c.before, c.after)
		if len(losers) > 0 {
			v.warn("%s", loss(losers))
		}
		errs = append(errs, err)
	}
	if to != nil {
		ranges, err := readRanges(ctx, reader)
		v.warnOfOverlap(c, ranges)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// warnOfOverlap tells which addresses of a pool are granted to nobody since the cluster uses them, unless that was so before.
func (v *verdict) warnOfOverlap(c change, ranges []allocation.Withheld) {
	overlap := func(p *policy.Policy) string {
		i := slices.IndexFunc(p.Pools, func(pool allocation.Pool) bool { return pool.Name == c.object.Name })
		if i < 0 {
			return ""
		}
		if problem := policy.Overlap(p.Pools[i], ranges); problem != nil {
			return problem.Detail
		}
		return ""
	}
	if news := overlap(c.after); news != "" && news != overlap(c.before) {
		v.warn("%s", news)
	}
}
