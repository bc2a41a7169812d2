// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"metalsuite.io/test/lab/internal/machine"
	"metalsuite.io/test/lab/internal/topology"
)

const (
	etcdURL = "http://127.0.0.1:2379"
	// startTimeout is long enough for a slow machine, short enough to say what is wrong before a user gives up.
	startTimeout = 90 * time.Second
)

func join(prefixes ...netip.Prefix) string {
	words := make([]string, len(prefixes))
	for i, prefix := range prefixes {
		words[i] = prefix.String()
	}
	return strings.Join(words, ",")
}

func (l *Lab) startEtcd() error {
	return l.start("etcd", topology.ControlPlane, l.binary("etcd"),
		"--data-dir="+filepath.Join(machine.Data, "etcd"),
		"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL,
		"--listen-peer-urls=http://127.0.0.1:2380",
		// The lab's data need not survive a power cut.
		"--unsafe-no-fsync",
		"--log-level=warn")
}

// auditLog is where the API server logs the requests of the suite's service accounts; auditPolicy is the file that says so.
var (
	auditLog    = filepath.Join(machine.Data, "audit.log")
	auditPolicy = filepath.Join(machine.Data, "audit-policy.yaml")
)

// auditRules log, without bodies, the requests of the suite's service accounts and the changes of roles and bindings by anybody: a refusal
// means something else while an installation is being removed. A watch is logged when it begins, since it may never end.
const auditRules = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    userGroups: ["system:serviceaccounts:metallb-system"]
  - level: Metadata
    verbs: [create, update, patch, delete]
    resources:
      - group: rbac.authorization.k8s.io
  - level: None
`

func (l *Lab) startAPIServer() error {
	if err := writeFiles(map[string]string{auditPolicy: auditRules}); err != nil {
		return err
	}
	return l.start("kube-apiserver", topology.ControlPlane, l.binary("kube-apiserver"),
		"--etcd-servers="+etcdURL,
		"--bind-address=::", "--secure-port=6443", "--advertise-address="+topology.ControlPlaneHost().Addr4().String(),
		"--tls-cert-file="+pkiFile("api.crt"), "--tls-private-key-file="+pkiFile("api.key"), "--client-ca-file="+pkiFile("ca.crt"),
		"--service-cluster-ip-range="+join(topology.Services4, topology.Services6),
		"--service-account-key-file="+pkiFile("sa.pub"), "--service-account-signing-key-file="+pkiFile("sa.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--token-auth-file="+pkiFile("tokens.csv"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
		"--allow-privileged=true",
		"--audit-policy-file="+auditPolicy, "--audit-log-path="+auditLog, "--audit-log-maxsize=1024",
		"--kubelet-preferred-address-types=InternalIP",
		// Webhooks and aggregated APIs are called at their pods' addresses: no node must forward for the API server, so any node may be cut.
		"--enable-aggregator-routing=true")
}

func (l *Lab) startControllerManager() error {
	return l.start("kube-controller-manager", topology.ControlPlane, l.binary("kube-controller-manager"),
		"--kubeconfig="+kubeconfigPath("system:kube-controller-manager"),
		"--root-ca-file="+pkiFile("ca.crt"), "--service-account-private-key-file="+pkiFile("sa.key"), "--use-service-account-credentials=true",
		"--leader-elect=false",
		// The lab gives each node its pods' addresses, since the routes to them exist before the nodes do.
		"--allocate-node-cidrs=false", "--cluster-cidr="+join(topology.Pods4, topology.Pods6),
		"--service-cluster-ip-range="+join(topology.Services4, topology.Services6))
}

func (l *Lab) startScheduler() error {
	return l.start("kube-scheduler", topology.ControlPlane, l.binary("kube-scheduler"),
		"--kubeconfig="+kubeconfigPath("system:kube-scheduler"), "--leader-elect=false")
}

// kubeconfigPath is the file of a component.
func kubeconfigPath(user string) string {
	return filepath.Join(machine.Data, "pki", strings.ReplaceAll(user, ":", "-")+".kubeconfig")
}

func (l *Lab) writeKubeconfigs(clients *pki) error {
	files := map[string]string{}
	for user := range clients.tokens {
		config, err := clients.kubeconfig(user)
		if err != nil {
			return err
		}
		files[kubeconfigPath(user)] = string(config)
	}
	return writeFiles(files)
}

// startControlPlane starts etcd and the API server, waits until that is ready, registers the nodes and starts the rest.
func (l *Lab) startControlPlane(ctx context.Context) error {
	if err := l.startEtcd(); err != nil {
		return err
	}
	if err := l.startAPIServer(); err != nil {
		return err
	}
	client, err := l.client()
	if err != nil {
		return err
	}
	if err := l.await(ctx, "kube-apiserver", startTimeout, func(ctx context.Context) error { return ready(ctx, client) }); err != nil {
		return err
	}
	l.Progress("API server is ready")
	if err := l.registerNodes(ctx, client); err != nil {
		return err
	}
	if err := l.startControllerManager(); err != nil {
		return err
	}
	return l.startScheduler()
}

func ready(ctx context.Context, client kubernetes.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

// registerNodes makes the Node objects before the kubelets do: the pods' addresses must be the ones that the routes point to, and kube-proxy asks for the
// node's addresses as soon as it starts.
func (l *Lab) registerNodes(ctx context.Context, client kubernetes.Interface) error {
	for _, node := range l.Inputs.NodeList() {
		object := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: node.Name, Labels: map[string]string{corev1.LabelHostname: node.Name}},
			Spec:       corev1.NodeSpec{PodCIDR: node.Pods4().String(), PodCIDRs: []string{node.Pods4().String(), node.Pods6().String()}},
		}
		object, err := client.CoreV1().Nodes().Create(ctx, object, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("registering node %s: %w", node.Name, err)
		}
		object.Status.Addresses = []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: node.Addr4().String()},
			{Type: corev1.NodeInternalIP, Address: node.Addr6().String()},
			{Type: corev1.NodeHostName, Address: node.Name},
		}
		if _, err := client.CoreV1().Nodes().UpdateStatus(ctx, object, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("writing the addresses of node %s: %w", node.Name, err)
		}
	}
	return nil
}
