// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// operatorContainer is the container of this role in the manifests.
const operatorContainer = "operator"

// OwnImage returns the image of the operator's container in its own pod, which is the image of all roles. So one entry decides, wherever
// the image is set: in kustomize, in OLM, by a webhook that puts a mirror's name in its place.
func OwnImage(ctx context.Context, reader client.Reader, namespace, pod string) (string, error) {
	var own corev1.Pod
	if err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: pod}, &own); err != nil {
		return "", fmt.Errorf("reading the image of the operator's own pod: %w", err)
	}
	for _, c := range own.Spec.Containers {
		if c.Name == operatorContainer {
			return c.Image, nil
		}
	}
	return "", fmt.Errorf("pod %s has no container %s, so the image of the operands is not known: set RELATED_IMAGE_METALSUITE", pod, operatorContainer)
}
