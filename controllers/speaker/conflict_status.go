// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
)

// conflictKey is the queue's key of the AddressConflict of an address. It has no slash, as the keys of Services have.
func conflictKey(a netip.Addr) string { return conflictMark + a.String() }

const conflictMark = "conflict@"

// conflictOf returns the address of a key made by conflictKey.
func conflictOf(key string) (netip.Addr, bool) {
	text, ok := strings.CutPrefix(key, conflictMark)
	if !ok {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(text)
	return a, err == nil
}

// conflictName is the name of this node's AddressConflict of an address.
func (s *Status) conflictName(a netip.Addr) string {
	sum := sha256.Sum256([]byte(a.String() + "@" + s.node))
	return "conflict-" + hex.EncodeToString(sum[:5])
}

// reportConflicts takes in what the newest outcome says of strangers and of addresses that this node uses itself.
func (s *Status) reportConflicts(o Outcome) {
	now := s.clock.Now()
	borne := func(a netip.Addr) bool {
		return slices.ContainsFunc(o.World.Services, func(x Service) bool { return slices.Contains(x.Addresses, a) })
	}
	touched, changed := s.ledger.take(now, o.sightings(now), borne)
	for _, a := range touched {
		s.writer.Enqueue(conflictKey(a))
	}
	s.tellBearers(o, changed)
}

// tellBearers looks again at the Services of addresses of which there is something else to tell.
func (s *Status) tellBearers(o Outcome, changed []netip.Addr) {
	if len(changed) == 0 {
		return
	}
	for _, key := range o.bearers(changed) {
		s.services.Enqueue(key)
	}
}

// writeConflict leaves one AddressConflict of this node for an address that something else uses, and none when nothing does.
func (s *Status) writeConflict(ctx context.Context, a netip.Addr) error {
	now := s.clock.Now()
	have := &v1beta1.AddressConflict{}
	err := s.client.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: s.conflictName(a)}, have)
	switch {
	case apierrors.IsNotFound(err):
		have = nil
	case err != nil:
		return fmt.Errorf("reading the conflict on %s: %w", a, err)
	}
	var status *v1beta1.AddressConflictStatus
	if have != nil {
		status = &have.Status
	}
	todo := s.ledger.act(now, a, s.node, status)
	if todo.changed {
		s.tellBearers(s.newest.get(), []netip.Addr{a})
	}
	if todo.again > 0 {
		s.writer.EnqueueAfter(conflictKey(a), todo.again)
	}
	switch {
	case todo.remove:
		return s.removeConflict(ctx, a)
	case todo.want == nil:
		return nil
	case have == nil:
		return s.createConflict(ctx, a, now, *todo.want)
	}
	return s.updateConflict(ctx, a, now, have.DeepCopy(), *todo.want)
}

func (s *Status) createConflict(ctx context.Context, a netip.Addr, now time.Time, want v1beta1.AddressConflictStatus) error {
	existing, err := s.ownConflicts(ctx)
	if err != nil {
		return err
	}
	if !s.ledger.admit(now, a, existing) {
		s.writer.EnqueueAfter(conflictKey(a), refreshConflict)
		return nil
	}
	object := &v1beta1.AddressConflict{
		ObjectMeta: metav1.ObjectMeta{
			Name: s.conflictName(a), Namespace: s.namespace, OwnerReferences: s.owner, Labels: map[string]string{v1beta1.LabelNode: nodeLabel(s.node)},
		},
		Status: want,
	}
	err = s.client.Create(ctx, object)
	switch {
	case apierrors.IsAlreadyExists(err):
		return s.patchConflict(ctx, a, now, object)
	case err != nil:
		s.ledger.wrote(time.Time{}, a)
		return fmt.Errorf("reporting the conflict on %s: %w", a, err)
	}
	return nil
}

// patchConflict makes an object what it is to be that is there although this node does not find it: the watch is late, or somebody took
// its label away.
func (s *Status) patchConflict(ctx context.Context, a netip.Addr, now time.Time, object *v1beta1.AddressConflict) error {
	patch, err := wholly(object)
	if err == nil {
		err = s.client.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch))
	}
	if err != nil {
		s.ledger.wrote(time.Time{}, a)
		return fmt.Errorf("reporting the conflict on %s: %w", a, err)
	}
	s.ledger.met(now, a)
	return nil
}

// wholly is the merge patch that leaves nothing of what an object said before, and of others' labels all.
func wholly(object *v1beta1.AddressConflict) ([]byte, error) {
	status := map[string]any{"interface": nil, "hardwareAddress": nil, "message": nil, "withdrawn": nil, "partlyWithdrawn": nil}
	text, err := json.Marshal(object.Status)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &status); err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"labels": object.Labels, "ownerReferences": object.OwnerReferences}, "status": status,
	})
}

// updateConflict takes an object over, if another pod of this node has made it, and writes what it is to say.
func (s *Status) updateConflict(ctx context.Context, a netip.Addr, now time.Time, object *v1beta1.AddressConflict, want v1beta1.AddressConflictStatus) error {
	object.Status, object.OwnerReferences = want, s.owner
	if err := s.client.Update(ctx, object); err != nil {
		return fmt.Errorf("reporting the conflict on %s: %w", a, err)
	}
	s.ledger.wrote(now, a)
	return nil
}

func (s *Status) removeConflict(ctx context.Context, a netip.Addr) error {
	object := &v1beta1.AddressConflict{ObjectMeta: metav1.ObjectMeta{Name: s.conflictName(a), Namespace: s.namespace}}
	if err := client.IgnoreNotFound(s.client.Delete(ctx, object)); err != nil {
		return fmt.Errorf("removing the conflict on %s: %w", a, err)
	}
	s.ledger.wrote(time.Time{}, a)
	return nil
}

// ownConflicts are the addresses of the conflicts that this node tells of.
func (s *Status) ownConflicts(ctx context.Context) ([]netip.Addr, error) {
	var list v1beta1.AddressConflictList
	err := s.client.List(ctx, &list, client.InNamespace(s.namespace), client.MatchingLabels{v1beta1.LabelNode: nodeLabel(s.node)})
	if err != nil {
		return nil, fmt.Errorf("listing the conflicts of node %s: %w", s.node, err)
	}
	var all []netip.Addr
	for i := range list.Items {
		if a, err := netip.ParseAddr(list.Items[i].Status.Address); err == nil {
			all = append(all, a)
		}
	}
	return all, nil
}
