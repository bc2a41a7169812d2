// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"net"
	"net/http"
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"metalsuite.io/test/lab/internal/netspace"
)

func kubeconfigFile(server, ca, token string) ([]byte, error) {
	config := api.NewConfig()
	config.Clusters["lab"] = &api.Cluster{Server: server, CertificateAuthorityData: []byte(ca)}
	config.AuthInfos["lab"] = &api.AuthInfo{Token: token}
	config.Contexts["lab"] = &api.Context{Cluster: "lab", AuthInfo: "lab"}
	config.CurrentContext = "lab"
	return clientcmd.Write(*config)
}

// RESTConfig reads a kubeconfig of the lab for use in the machine's own namespace: connections are opened inside the given namespace of the lab.
func RESTConfig(kubeconfig []byte, namespace string) (*rest.Config, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 200, 400
	// A proxy of the machine's environment cannot reach the lab.
	config.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return netspace.Dial(ctx, namespace, network, address)
	}
	return config, nil
}
