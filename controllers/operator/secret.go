// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
)

// Entries of the Secret, which the speakers mount as files.
const (
	// gossipKeyEntry is the key with which the speakers encrypt.
	gossipKeyEntry = "secretkey"
	// formerKeyEntry is the key before it: the speakers go on to read it.
	formerKeyEntry = "previous"
	gossipKeyBytes = 32
)

// gossipKey is what the operator remembers of the Secret, so that a Secret made anew has the former key beside the new one. Without it a
// speaker that starts during the change would not be able to read the others.
type gossipKey struct {
	version string
	value   []byte
}

// ensureKey creates the Secret with the speakers' key when there is none. It is owned by the resource and nothing less durable: a key that
// goes with a workload splits the speakers into those with the former key and those with the new one. The key of an existing Secret never
// changes. exists is false when no Secret is known to exist; then err says why.
func (r *Reconciler) ensureKey(ctx context.Context, cr *v1beta1.MetalLB) (exists bool, err error) {
	secret := &metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	err = r.Client.Get(ctx, r.gossipSecret(), secret)
	if apierrors.IsNotFound(err) {
		err = r.createKey(ctx, cr)
		return err == nil, err
	}
	if err != nil {
		return false, fmt.Errorf("reading secret %s: %w", GossipSecret, err)
	}
	if err := r.rememberKey(ctx, secret.ResourceVersion); err != nil {
		return true, err
	}
	return true, r.takeOverKey(ctx, cr, secret)
}

// takeOverKey makes the resource the owner of the Secret where something less durable is.
func (r *Reconciler) takeOverKey(ctx context.Context, cr *v1beta1.MetalLB, secret *metav1.PartialObjectMetadata) error {
	owners, changed := keyOwners(secret.OwnerReferences, cr)
	if !changed {
		return nil
	}
	before := secret.DeepCopy()
	secret.OwnerReferences = owners
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, secret, patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("making the resource the owner of secret %s: %w", GossipSecret, err)
	}
	return nil
}

func (r *Reconciler) gossipSecret() client.ObjectKey {
	return client.ObjectKey{Namespace: r.Options.Namespace, Name: GossipSecret}
}

func (r *Reconciler) createKey(ctx context.Context, cr *v1beta1.MetalLB) error {
	key := make([]byte, gossipKeyBytes)
	_, _ = rand.Read(key) // never fails (Go: crypto/rand.Read)
	labels := map[string]string{labelName: "metallb", labelManagedBy: FieldOwner}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: GossipSecret, Namespace: r.Options.Namespace, Labels: labels, OwnerReferences: []metav1.OwnerReference{ownerReference(cr)},
		},
		Data: map[string][]byte{gossipKeyEntry: []byte(base64.StdEncoding.EncodeToString(key))},
	}
	if len(r.key.value) > 0 {
		secret.Data[formerKeyEntry] = r.key.value
	}
	err := r.Client.Create(ctx, secret)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("creating secret %s: %w", GossipSecret, err)
	}
	r.key = gossipKey{version: secret.ResourceVersion, value: secret.Data[gossipKeyEntry]}
	return nil
}

// rememberKey reads the key of a version of the Secret, once.
func (r *Reconciler) rememberKey(ctx context.Context, version string) error {
	if r.key.version == version {
		return nil
	}
	secret := &corev1.Secret{}
	if err := r.Live.Get(ctx, r.gossipSecret(), secret); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("reading secret %s: %w", GossipSecret, err))
	}
	r.key = gossipKey{version: version, value: bytes.Clone(secret.Data[gossipKeyEntry])}
	return nil
}

// keyOwners returns the owners that the Secret is to have. The resource takes the place of the controller's Deployment, which owned the
// Secret in former versions and owns it in MetalLB, and of a resource that was replaced by this one. A Secret that nobody owns is the
// user's and stays so.
func keyOwners(have []metav1.OwnerReference, cr *v1beta1.MetalLB) (owners []metav1.OwnerReference, changed bool) {
	owners = slices.DeleteFunc(slices.Clone(have), func(o metav1.OwnerReference) bool {
		group := schema.FromAPIVersionAndKind(o.APIVersion, o.Kind).GroupKind()
		deployment := group.Group == appsv1.GroupName && group.Kind == "Deployment"
		replaced := group.Group == v1beta1.GroupVersion.Group && group.Kind == "MetalLB" && o.UID != cr.UID
		return deployment || replaced
	})
	if len(owners) == len(have) {
		return have, false
	}
	if !slices.ContainsFunc(owners, func(o metav1.OwnerReference) bool { return o.UID == cr.UID }) {
		owners = append(owners, ownerReference(cr))
	}
	return owners, true
}
