// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/installation"
)

// installationPath is where the API server asks about MetalLB resources.
const installationPath = "/validate-metallb-io-v1beta1-metallb"

// installationValidator answers for MetalLB resources. It reads nothing but the request.
type installationValidator struct{}

// Handle implements admission.Handler: a setting that cannot be used is refused unless the resource had it before. A resource that is not
// served, for its name or its namespace, is told so by its conditions.
func (installationValidator) Handle(_ context.Context, req admission.Request) admission.Response {
	var before, after v1beta1.MetalLB
	if err := decode(req.OldObject.Raw, &before); err != nil {
		return admission.Allowed("").WithWarnings(fmt.Sprintf("MetalLB %q was not checked: %v", req.Name, err))
	}
	if err := decode(req.Object.Raw, &after); err != nil {
		return admission.Allowed("").WithWarnings(fmt.Sprintf("MetalLB %q was not checked: %v", req.Name, err))
	}
	if after.DeletionTimestamp != nil {
		return admission.Allowed("")
	}
	var refusals []string
	for _, p := range installation.Added(before.Spec, after.Spec) {
		refusals = append(refusals, fmt.Sprintf("MetalLB %q: %s", after.Name, p.Message()))
	}
	if len(refusals) > 0 {
		return admission.Denied(strings.Join(refusals, "\n"))
	}
	return admission.Allowed("")
}

// decode reads an object that may be absent.
func decode(raw []byte, into *v1beta1.MetalLB) error {
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("decoding a MetalLB: %w", err)
	}
	return nil
}
