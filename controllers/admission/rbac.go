// SPDX-License-Identifier: Apache-2.0

package admission

// What the webhooks may do, as a part of the operator's role: read what a policy is compiled from, read Services and ServiceCIDRs when a pool changes,
// and keep one Secret and the CA of one webhook configuration, both by name.
//
// +kubebuilder:rbac:groups="",resources=namespaces;nodes;services,verbs=list
// +kubebuilder:rbac:groups=networking.k8s.io,resources=servicecidrs,verbs=list
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingwebhookconfigurations,resourceNames=metallb-webhook-configuration,verbs=get;patch
// +kubebuilder:rbac:groups=metallb.io,namespace=metallb-system,resources=bfdprofiles;bgpadvertisements;bgppeers;communities;ipaddresspools;ipreservations;l2advertisements,verbs=list
// +kubebuilder:rbac:groups="",namespace=metallb-system,resources=secrets,verbs=create
// +kubebuilder:rbac:groups="",namespace=metallb-system,resources=secrets,resourceNames=metallb-webhook-cert,verbs=get;update
