// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package kubernetes pins what the lab builds: a module of its own, so that the suite's module does not see these dependencies.
//
// k8s.io/kubernetes replaces its staging modules with folders that a module zip does not hold; go.mod replaces each by its published version.
// Everything here is built by `lab build`; nothing imports it.
package kubernetes

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-proxy"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubectl"
	_ "k8s.io/kubernetes/cmd/kubelet"
)
