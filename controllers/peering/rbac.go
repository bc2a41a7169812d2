// SPDX-License-Identifier: Apache-2.0

package peering

// What telling needs. It reads the objects of the policy and what speakers say, and writes conditions only.
//
// +kubebuilder:rbac:groups="",resources=nodes,verbs=list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=metallb.io,namespace=metallb-system,resources=ipaddresspools;l2advertisements;bgpadvertisements;bgppeers;bfdprofiles;communities,verbs=list;watch
// +kubebuilder:rbac:groups=metallb.io,namespace=metallb-system,resources=l2advertisements/status;bgpadvertisements/status;bgppeers/status;bfdprofiles/status;communities/status,verbs=patch
// +kubebuilder:rbac:groups=metallb.io,namespace=metallb-system,resources=bgpsessionstatuses;configurationstates,verbs=list;watch
