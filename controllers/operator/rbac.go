// SPDX-License-Identifier: Apache-2.0

package operator

// What the operator may do. It sees MetalLB resources and what configures the suite everywhere, to tell the user about one in the wrong
// place, and touches workloads in its own namespace only. Of Secrets it reads that one exists, by name. Nodes are listed
// when no node is to run a speaker.
//
// +kubebuilder:rbac:groups=metallb.io,resources=bfdprofiles;bgpadvertisements;bgppeers;communities;ipaddresspools;ipreservations;l2advertisements,verbs=list;watch
// +kubebuilder:rbac:groups=metallb.io,resources=metallbs,verbs=get;list;watch
// +kubebuilder:rbac:groups=metallb.io,resources=metallbs/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=list
//
// An owner reference that blocks its owner's deletion needs this where the admission plugin OwnerReferencesPermissionEnforcement is on.
// +kubebuilder:rbac:groups=metallb.io,namespace=metallb-system,resources=metallbs/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps,namespace=metallb-system,resources=deployments;daemonsets,verbs=create;delete;list;patch;watch
// +kubebuilder:rbac:groups="",namespace=metallb-system,resources=secrets,resourceNames=memberlist,verbs=get;list;watch
// +kubebuilder:rbac:groups="",namespace=metallb-system,resources=events,verbs=list
