// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"sync/atomic"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// deploymentOwner knows the Deployment of this role, which owns the role's ConfigurationState: a state without a controller that reports
// it would mislead. It is safe for concurrent use.
type deploymentOwner struct {
	live            client.Reader
	namespace, name string
	known           atomic.Pointer[[]metav1.OwnerReference]
}

// references refer to the Deployment; none when the role runs elsewhere.
func (d *deploymentOwner) references(ctx context.Context) ([]metav1.OwnerReference, error) {
	if d.name == "" {
		return nil, nil
	}
	if known := d.known.Load(); known != nil {
		return *known, nil
	}
	var deployment appsv1.Deployment
	err := d.live.Get(ctx, types.NamespacedName{Namespace: d.namespace, Name: d.name}, &deployment)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading deployment %s: %w", d.name, err)
	}
	owners := []metav1.OwnerReference{{
		APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "Deployment", Name: deployment.Name, UID: deployment.UID,
	}}
	d.known.Store(&owners)
	return owners, nil
}
