// SPDX-License-Identifier: Apache-2.0

package service

// What the controller may do. It alone writes the status of Services; no spec of anything is ever written.
//
// +kubebuilder:rbac:groups="",resources=services;namespaces;nodes,verbs=list;watch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=servicecidrs,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=services/status,verbs=patch
// +kubebuilder:rbac:groups=discovery.k8s.io,namespace=default,resources=endpointslices,verbs=list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create
// +kubebuilder:rbac:groups=metallb.io,namespace=metallb-system,resources=ipaddresspools;ipreservations;addressconflicts,verbs=list;watch
// +kubebuilder:rbac:groups=metallb.io,namespace=metallb-system,resources=ipaddresspools/status;ipreservations/status,verbs=patch
// +kubebuilder:rbac:groups=metallb.io,namespace=metallb-system,resources=configurationstates,verbs=list;watch;create
// +kubebuilder:rbac:groups=metallb.io,namespace=metallb-system,resources=configurationstates/status,verbs=update
// +kubebuilder:rbac:groups=apps,namespace=metallb-system,resources=deployments,resourceNames=controller,verbs=get
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=metallb-system,resources=leases,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=metallb-system,resources=leases,resourceNames=controller.metallb.io,verbs=get;update
