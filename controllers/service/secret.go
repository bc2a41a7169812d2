// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/internal/kube"
)

const (
	// secretKey is the entry of the membership Secret that speakers read.
	secretKey = "secretkey"
	keyBytes  = 32
	// secretPeriod is how often the Secret is looked for. It is not watched: that would take the right to list Secrets.
	secretPeriod = time.Minute
)

// secretKeeper creates the Secret with the key that speakers encrypt their membership with, and again when it is gone. An existing one
// is never touched.
type secretKeeper struct {
	client client.Client
	live   client.Reader
	o      Options
	log    logr.Logger
	period time.Duration
	owner  atomic.Pointer[[]metav1.OwnerReference]
	*kube.Writer[string]
}

func newSecretKeeper(c client.Client, live client.Reader, o Options, log logr.Logger) *secretKeeper {
	k := &secretKeeper{client: c, live: live, o: o, log: log, period: secretPeriod}
	k.Writer = kube.NewWriter("membership-secret", 1, log, k.keep)
	return k
}

func (k *secretKeeper) keep(ctx context.Context, name string) error {
	if err := k.ensure(ctx); err != nil {
		return err
	}
	k.EnqueueAfter(name, k.period)
	return nil
}

// first tries once; if that fails the rest goes on and the keeper tries again beside it.
func (k *secretKeeper) first(ctx context.Context) {
	if k.o.SecretName == "" {
		return
	}
	if err := k.keep(ctx, k.o.SecretName); err != nil {
		k.log.Info("Membership secret is not there yet, will be tried again", "name", k.o.SecretName, "error", err.Error())
		k.Enqueue(k.o.SecretName)
	}
}

func (k *secretKeeper) ensure(ctx context.Context) error {
	err := k.live.Get(ctx, types.NamespacedName{Namespace: k.o.Namespace, Name: k.o.SecretName}, &corev1.Secret{})
	if err == nil {
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading secret %s: %w", k.o.SecretName, err)
	}
	owners, err := k.owners(ctx)
	if err != nil {
		return err
	}
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails (Go: crypto/rand.Read)
	err = k.client.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: k.o.SecretName, Namespace: k.o.Namespace, OwnerReferences: owners},
		StringData: map[string]string{secretKey: base64.StdEncoding.EncodeToString(key)},
	})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating secret %s: %w", k.o.SecretName, err)
	}
	return nil
}

// owners refer to the role's Deployment, so that what the role created goes with it; none when it runs elsewhere.
func (k *secretKeeper) owners(ctx context.Context) ([]metav1.OwnerReference, error) {
	if k.o.Deployment == "" {
		return nil, nil
	}
	if known := k.owner.Load(); known != nil {
		return *known, nil
	}
	var d appsv1.Deployment
	err := k.live.Get(ctx, types.NamespacedName{Namespace: k.o.Namespace, Name: k.o.Deployment}, &d)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading deployment %s: %w", k.o.Deployment, err)
	}
	owners := []metav1.OwnerReference{{APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "Deployment", Name: d.Name, UID: d.UID}}
	k.owner.Store(&owners)
	return owners, nil
}
