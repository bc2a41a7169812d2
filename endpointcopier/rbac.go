// SPDX-License-Identifier: Apache-2.0

package endpointcopier

// What the role may do for the pair of Services in the namespace default, as controller-gen reads it. Annotated Services and pairs in other
// namespaces need more; config/overlays/annotated-services grants it. Owner references carry no blockOwnerDeletion, so no right on
// services/finalizers is needed.
//
// +kubebuilder:rbac:groups="",resources=nodes,verbs=list;watch
// +kubebuilder:rbac:groups="",namespace=default,resources=services,verbs=list;watch
// +kubebuilder:rbac:groups=discovery.k8s.io,namespace=default,resources=endpointslices,verbs=list;watch;create;update;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create
//
// A right to create cannot be restricted to a name.
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=metallb-system,resources=leases,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=metallb-system,resources=leases,resourceNames=endpoint-copier.metallb.io,verbs=get;update
