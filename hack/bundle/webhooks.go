// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// webhookPort is the container port that the operator serves webhooks on.
const webhookPort = 9443

// webhookDefinitions describes every webhook for the operator's deployment. OLM creates the Service, the certificate and the configuration.
func (s *source) webhookDefinitions(deployment string) ([]object, error) {
	configurations, err := ofKind[admissionregistrationv1.ValidatingWebhookConfiguration](s, "ValidatingWebhookConfiguration")
	if err != nil {
		return nil, err
	}
	var all []object
	for _, configuration := range configurations {
		for _, w := range configuration.Webhooks {
			if w.ClientConfig.Service == nil || w.ClientConfig.Service.Path == nil {
				return nil, fmt.Errorf("webhook %s has no Service with a path", w.Name)
			}
			all = append(all, object{
				"type":                    "ValidatingAdmissionWebhook",
				"generateName":            w.Name,
				"deploymentName":          deployment,
				"containerPort":           443,
				"targetPort":              webhookPort,
				"webhookPath":             *w.ClientConfig.Service.Path,
				"rules":                   w.Rules,
				"failurePolicy":           w.FailurePolicy,
				"matchPolicy":             w.MatchPolicy,
				"sideEffects":             w.SideEffects,
				"timeoutSeconds":          w.TimeoutSeconds,
				"admissionReviewVersions": w.AdmissionReviewVersions,
			})
		}
	}
	return all, nil
}
