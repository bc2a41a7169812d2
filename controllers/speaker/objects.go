// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
)

// kind is how status objects of one kind are written.
type kind[T client.Object] struct {
	// status returns what an object says; fill makes one say what another one does.
	status func(T) any
	fill   func(into, from T)
	// apart is whether the status is a subresource, which the API writes by itself.
	apart bool
}

var (
	l2Statuses = kind[*v1beta1.ServiceL2Status]{
		status: func(o *v1beta1.ServiceL2Status) any { return o.Status },
		fill:   func(into, from *v1beta1.ServiceL2Status) { into.Status = from.Status },
		apart:  true,
	}
	bgpStatuses = kind[*v1beta1.ServiceBGPStatus]{
		status: func(o *v1beta1.ServiceBGPStatus) any { return o.Status },
		fill:   func(into, from *v1beta1.ServiceBGPStatus) { into.Status = from.Status },
		apart:  true,
	}
	sessionStatuses = kind[*v1beta1.BGPSessionStatus]{
		status: func(o *v1beta1.BGPSessionStatus) any { return o.Status },
		fill:   func(into, from *v1beta1.BGPSessionStatus) { into.Status = from.Status },
	}
)

// objectName is the name of this node's status object on something: a hash of so many bytes tells it from others.
func (s *Status) objectName(prefix, something string, bytes int) string {
	sum := sha256.Sum256([]byte(something + "@" + s.node))
	return prefix + hex.EncodeToString(sum[:bytes])
}

// The bytes of hashes in names: among 10,000 Services on 1,000 nodes two of the shorter ones are equal by chance. The older kinds keep
// theirs, since earlier versions look for them under these names.
const (
	shortHash = 5
	longHash  = 10
)

// objectMeta is what every status object of this node has.
func (s *Status) objectMeta(name string, labels map[string]string) metav1.ObjectMeta {
	own := map[string]string{v1beta1.LabelNode: nodeLabel(s.node)}
	maps.Copy(own, labels)
	return metav1.ObjectMeta{Name: name, Namespace: s.namespace, Labels: own, OwnerReferences: s.owner}
}

// put leaves an object as it is to be, and writes nothing when it is. It is read into have, an empty one.
func (k kind[T]) put(ctx context.Context, c client.Client, have, want T) error {
	err := c.Get(ctx, client.ObjectKeyFromObject(want), have)
	switch {
	case apierrors.IsNotFound(err):
		return k.create(ctx, c, want)
	case err != nil:
		return fmt.Errorf("reading %s: %w", want.GetName(), err)
	}
	return k.update(ctx, c, have, want)
}

// drop removes an object if it is there. It is read into have, an empty one, so that nothing is asked of the API server when it is not.
func drop(ctx context.Context, c client.Client, have client.Object, namespace, name string) error {
	err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, have)
	if err == nil {
		err = c.Delete(ctx, have)
	}
	if err := client.IgnoreNotFound(err); err != nil {
		return fmt.Errorf("removing %s: %w", name, err)
	}
	return nil
}

// update makes an object what it is to be. One that an earlier pod of this node made becomes this pod's, before it goes with its owner.
func (k kind[T]) update(ctx context.Context, c client.Client, have, want T) error {
	next, ok := have.DeepCopyObject().(T)
	if !ok {
		return fmt.Errorf("copying %s: it is of another kind", want.GetName())
	}
	labels := maps.Clone(next.GetLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, want.GetLabels())
	next.SetLabels(labels)
	next.SetOwnerReferences(want.GetOwnerReferences())
	taken := equality.Semantic.DeepEqual(have.GetOwnerReferences(), want.GetOwnerReferences()) && maps.Equal(have.GetLabels(), labels)
	told := equality.Semantic.DeepEqual(k.status(have), k.status(want))
	if !told && !k.apart {
		k.fill(next, want)
	}
	if !taken || !told && !k.apart {
		if err := c.Update(ctx, next); err != nil {
			return fmt.Errorf("updating %s: %w", want.GetName(), err)
		}
	}
	if told || !k.apart {
		return nil
	}
	k.fill(next, want)
	return k.tell(ctx, c, next)
}

// create makes an object and then, if it is a subresource, its status: the API has no way to do both at once. One that is there although it
// was not found, since the watch is late, somebody took its label away or an attempt was interrupted, is filled in.
func (k kind[T]) create(ctx context.Context, c client.Client, want T) error {
	made, ok := want.DeepCopyObject().(T)
	if !ok {
		return fmt.Errorf("copying %s: it is of another kind", want.GetName())
	}
	err := c.Create(ctx, made)
	if apierrors.IsAlreadyExists(err) {
		return k.patch(ctx, c, made, want)
	}
	if err != nil {
		return fmt.Errorf("creating %s: %w", want.GetName(), err)
	}
	if !k.apart {
		return nil
	}
	k.fill(made, want)
	return k.tell(ctx, c, made)
}

func (k kind[T]) tell(ctx context.Context, c client.Client, object T) error {
	if err := c.Status().Update(ctx, object); err != nil {
		return fmt.Errorf("writing the status of %s: %w", object.GetName(), err)
	}
	return nil
}

// patch writes over an object without having read it. What it says beyond that is corrected once it is seen.
func (k kind[T]) patch(ctx context.Context, c client.Client, object, want T) error {
	if err := k.patchMetadata(ctx, c, object, want); err != nil || !k.apart {
		return err
	}
	return k.patchStatus(ctx, c, object, want)
}

// patchMetadata writes over the labels and the owners of an object, and over its status where that is a part of it.
func (k kind[T]) patchMetadata(ctx context.Context, c client.Client, object, want T) error {
	patch := map[string]any{"metadata": map[string]any{"labels": want.GetLabels(), "ownerReferences": want.GetOwnerReferences()}}
	if !k.apart {
		patch["status"] = k.status(want)
	}
	return patched(patch, func(p client.Patch) error { return c.Patch(ctx, object, p) }, want.GetName())
}

// patchStatus writes over the status of an object that has it apart.
func (k kind[T]) patchStatus(ctx context.Context, c client.Client, object, want T) error {
	patch := map[string]any{"status": k.status(want)}
	return patched(patch, func(p client.Patch) error { return c.Status().Patch(ctx, object, p) }, want.GetName())
}

func patched(patch map[string]any, write func(client.Patch) error, name string) error {
	content, err := json.Marshal(patch)
	if err == nil {
		err = write(client.RawPatch(types.MergePatchType, content))
	}
	if err != nil {
		return fmt.Errorf("overwriting %s: %w", name, err)
	}
	return nil
}
