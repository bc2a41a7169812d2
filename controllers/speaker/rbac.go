// SPDX-License-Identifier: Apache-2.0

package speaker

// What the speaker may do. It reads; it writes its own status objects and events, and no Service. Secrets with the passwords of sessions it
// gets by their names; it neither lists nor watches them. Of its DaemonSet it asks whether that is still there, and
// what it runs where.
//
// +kubebuilder:rbac:groups="",resources=services;nodes;namespaces,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get
// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create
// +kubebuilder:rbac:groups=metallb.io,namespace=metallb-system,resources=ipaddresspools;l2advertisements;bgpadvertisements;bgppeers;bfdprofiles;communities,verbs=list;watch
// +kubebuilder:rbac:groups=metallb.io,namespace=metallb-system,resources=servicel2statuses;servicebgpstatuses;bgpsessionstatuses;addressconflicts,verbs=list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups=metallb.io,namespace=metallb-system,resources=configurationstates,verbs=list;watch;create
// +kubebuilder:rbac:groups=metallb.io,namespace=metallb-system,resources=servicel2statuses/status;servicebgpstatuses/status,verbs=update;patch
// +kubebuilder:rbac:groups=metallb.io,namespace=metallb-system,resources=configurationstates/status,verbs=update
// +kubebuilder:rbac:groups="",namespace=metallb-system,resources=secrets,verbs=get
// +kubebuilder:rbac:groups=apps,namespace=metallb-system,resources=daemonsets,verbs=get
