// SPDX-License-Identifier: Apache-2.0

// Package manifests tests what kustomize makes of config/ and of overlays over it, as users write them.
package manifests
