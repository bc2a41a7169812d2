// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/internal/allocation"
)

// bearerIndex finds Services in the cache by the addresses in their status.
const bearerIndex = "status.addresses"

func bearerKeys(o client.Object) []string {
	s, ok := o.(*corev1.Service)
	if !ok {
		return nil
	}
	var keys []string
	for _, a := range addressesOf(s) {
		keys = append(keys, a.String())
	}
	return keys
}

const (
	// firstLook is when a grant that was held back is tried again; the longer it waits the rarer that becomes, down to every lastLook.
	firstLook = 50 * time.Millisecond
	lastLook  = 5 * time.Second
	// patience is how long a grant is held back before the Service says so.
	patience = 3 * time.Second
)

// nextLook is when to try again what has waited for so long.
func nextLook(waited time.Duration) time.Duration { return min(max(waited/4, firstLook), lastLook) }

// handover returns what may be written now. An address goes from one Service to another in two writes of which the taking has to be the
// second: as long as the status of a Service that is to lose an address still names it, nobody else's may. What the Service itself is to
// lose is never held back, so two that swap do not wait for each other. Held is nil when everything may be written.
func (w *writers) handover(ctx context.Context, d desired, before *corev1.Service) (now desired, held *reason.Problem, err error) {
	if d.leaves {
		return d, nil, nil
	}
	had := addressesOf(before)
	now = d
	now.decision.Addresses = nil
	for _, a := range d.decision.Addresses {
		if !slices.Contains(had, a) {
			problem, err := w.borne(ctx, keyOf(before), a)
			if err != nil {
				return d, nil, err
			}
			if problem != nil {
				held = problem
				continue
			}
		}
		now.decision.Addresses = append(now.decision.Addresses, a)
	}
	if held != nil {
		now.decision.Problem = held
	}
	if len(now.decision.Addresses) == 0 {
		now.decision.Pool = ""
	}
	return now, held, nil
}

// borne returns which other Service of ours is to lose the address and has not yet; nil when there is none.
func (w *writers) borne(ctx context.Context, key allocation.Key, a netip.Addr) (*reason.Problem, error) {
	var bearers corev1.ServiceList
	if err := w.client.List(ctx, &bearers, client.MatchingFields{bearerIndex: a.String()}); err != nil {
		return nil, fmt.Errorf("looking for Services with %s: %w", a, err)
	}
	others, err := w.unheard(ctx, a)
	if err != nil {
		return nil, err
	}
	why := map[allocation.Key]string{}
	for i := range bearers.Items {
		s := &bearers.Items[i]
		others = append(others, keyOf(s))
		if s.DeletionTimestamp != nil {
			why[keyOf(s)] = ", which " + whyNotServed(s)
		}
	}
	for _, other := range others {
		if d, ours := w.board.service(other); other != key && ours && d.loses(a) {
			return reason.New(reason.AddressInUse, "%s is still in the status of Service %s%s", a, other, why[other]), nil
		}
	}
	return nil, nil
}

// unheard are the Services to whose status the address was written without the cache having heard of it.
func (w *writers) unheard(ctx context.Context, a netip.Addr) ([]allocation.Key, error) {
	for _, key := range w.flights.bearers(a) {
		var s corev1.Service
		err := w.client.Get(ctx, types.NamespacedName{Namespace: key.Namespace, Name: key.Name}, &s)
		switch {
		case apierrors.IsNotFound(err):
			w.flights.forget(key)
		case err != nil:
			return nil, fmt.Errorf("reading service %s: %w", key, err)
		default:
			w.flights.heard(key, s.ResourceVersion)
		}
	}
	return w.flights.bearers(a), nil
}

// loses reports whether a Service whose status names the address is to have it no more.
func (d desired) loses(a netip.Addr) bool {
	return d.leaves == slices.Contains(d.decision.Addresses, a)
}

// losesAny reports whether the write takes an address from the Service.
func losesAny(before *corev1.Service, now desired) bool {
	return len(without(addressesOf(before), now.decision.Addresses)) > 0
}
