// SPDX-License-Identifier: Apache-2.0

package operator

// What the operator may do. It sees MetalLB resources and what configures the suite everywhere, to tell the user about one in the wrong
// place, and touches workloads in its own namespace only. It makes the Secret with the speakers' key and reads no other; a create cannot be
// restricted by name (Kubernetes: RBAC, resourceNames).
//
// +kubebuilder:rbac:groups=metallb.io,resources=bfdprofiles;bgpadvertisements;bgppeers;communities;ipaddresspools;ipreservations;l2advertisements,verbs=list;watch
// +kubebuilder:rbac:groups=metallb.io,resources=metallbs,verbs=list;watch
// +kubebuilder:rbac:groups=metallb.io,resources=metallbs/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
//
// An owner reference that blocks its owner's deletion needs this where the admission plugin OwnerReferencesPermissionEnforcement is on.
// +kubebuilder:rbac:groups=metallb.io,namespace=metallb-system,resources=metallbs/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps,namespace=metallb-system,resources=deployments;daemonsets,verbs=create;delete;list;patch;watch
// +kubebuilder:rbac:groups="",namespace=metallb-system,resources=secrets,verbs=create
// +kubebuilder:rbac:groups="",namespace=metallb-system,resources=events,verbs=list
//
// A change of the owners of an object needs the right to delete the object, where the same plugin is on. The operator deletes no Secret.
// +kubebuilder:rbac:groups="",namespace=metallb-system,resources=secrets,resourceNames=memberlist,verbs=delete;get;list;patch;watch
//
// Its operands run the image of its own pod, whose name nobody knows beforehand.
// +kubebuilder:rbac:groups="",namespace=metallb-system,resources=pods,verbs=get
