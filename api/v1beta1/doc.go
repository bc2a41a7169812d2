// SPDX-License-Identifier: Apache-2.0

// Package v1beta1 holds the kinds of the group metallb.io in version v1beta1, with the annotation, label and condition names that go
// with them. Field names, defaults and meanings are those that MetalLB's users know; what is ours is only added and optional.
//
// The package knows nothing of clients, controllers or the policy that is compiled from its kinds. Its values have no lock: whoever
// shares one copies it first.
//
// +kubebuilder:object:generate=true
// +groupName=metallb.io
package v1beta1
