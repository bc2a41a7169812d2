// SPDX-License-Identifier: Apache-2.0

// Package v1beta2 holds the kinds of the group metallb.io that have a version v1beta2: BGPPeer, which is stored in it.
//
// The package knows nothing of clients, controllers or the policy that is compiled from its kinds. Its values have no lock: whoever
// shares one copies it first.
//
// +kubebuilder:object:generate=true
// +groupName=metallb.io
package v1beta2
