// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"metalsuite.io/test/lab/internal/machine"
	"metalsuite.io/test/lab/internal/netspace"
	"metalsuite.io/test/lab/internal/topology"
)

func nodeRun(node string) string { return filepath.Join(machine.Run, node) }

func nodeData(node string) string { return filepath.Join(machine.Data, node) }

func containerdSocket(node string) string { return filepath.Join(nodeRun(node), "containerd.sock") }

// cniConfig uses the ptp plugin, not bridge: every packet of a pod is routed by its node, so kube-proxy's rules see them all, also between two pods of one node.
func cniConfig(node topology.Node) string {
	return fmt.Sprintf(`{
  "cniVersion": "0.4.0",
  "name": "lab",
  "plugins": [{
    "type": "ptp",
    "ipMasq": false,
    "ipam": {
      "type": "host-local",
      "dataDir": "%s",
      "ranges": [[{"subnet": "%s"}], [{"subnet": "%s"}]],
      "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
    }
  }, {"type": "portmap", "capabilities": {"portMappings": true}}]
}
`, filepath.Join(nodeRun(node.Name), "ipam"), node.Pods4(), node.Pods6())
}

func containerdConfig(node string) string {
	data, run := nodeData(node), nodeRun(node)
	return fmt.Sprintf(`version = 2
root = "%[1]s/containerd"
state = "%[2]s/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "%[3]s"
[plugins."io.containerd.internal.v1.opt"]
  path = "%[1]s/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "%[4]s"
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "%[1]s/cni"
`, data, run, containerdSocket(node), pauseImage)
}

func kubeletConfig(node, cgroup string) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
cgroupRoot: %[1]s
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
containerRuntimeEndpoint: unix://%[2]s
evictionHard: {memory.available: "10Mi", nodefs.available: "0%%", imagefs.available: "0%%", nodefs.inodesFree: "0%%"}
imageGCHighThresholdPercent: 100
podLogsDir: %[3]s/pods
volumePluginDir: %[3]s/plugins
nodeStatusUpdateFrequency: 5s
# The lab's machine is small and its pods are many.
registryPullQPS: 0
maxPods: 200
kubeAPIQPS: 100
kubeAPIBurst: 200
`, cgroup, containerdSocket(node), nodeData(node))
}

// prepareNode writes the node's files and starts its containerd.
func (l *Lab) prepareNode(ctx context.Context, node topology.Node) error {
	cgroup, err := machine.AddCgroup(node.Name)
	if err != nil {
		return err
	}
	data := nodeData(node.Name)
	files := map[string]string{
		filepath.Join(data, "cni", "10-lab.conflist"): cniConfig(node),
		filepath.Join(data, "containerd.toml"):        containerdConfig(node.Name),
		filepath.Join(data, "kubelet.yaml"):           kubeletConfig(node.Name, cgroup),
		filepath.Join(nodeRun(node.Name), "README"):   "sockets and state of a node of the lab\n",
		filepath.Join(data, "plugins", ".keep"):       "",
		filepath.Join(data, "pods", ".keep"):          "",
	}
	if err := writeFiles(files); err != nil {
		return err
	}
	rules := netspace.Command(ctx, node.Name, "nft", "-f", "-")
	rules.Stdin = strings.NewReader(topology.MasqueradeRules(node))
	if err := netspace.Run(rules); err != nil {
		return err
	}
	if err := l.start(node.Name+"-containerd", node.Name, "containerd", "-c", filepath.Join(data, "containerd.toml")); err != nil {
		return err
	}
	return l.await(ctx, node.Name+"-containerd", startTimeout, func(ctx context.Context) error {
		return netspace.Run(netspace.Command(ctx, node.Name, "ctr", "-a", containerdSocket(node.Name), "--connect-timeout", "1s", "version"))
	})
}

// pluginSocket is where every kubelet listens for device plugins. It cannot be chosen, so the kubelets of this machine take it from one
// another; nobody uses it.
const pluginSocket = "/var/lib/kubelet/device-plugins/kubelet.sock"

// startNode starts kube-proxy and kubelet; the API server must know the node. It returns once the kubelet listens: two that remove and make
// the same socket at the same time end each other.
func (l *Lab) startNode(ctx context.Context, node topology.Node) error {
	data := nodeData(node.Name)
	config := kubeconfigPath("system:node:" + node.Name)
	err := l.start(node.Name+"-kube-proxy", node.Name, l.binary("kube-proxy"),
		"--kubeconfig="+kubeconfigPath("system:kube-proxy"),
		"--hostname-override="+node.Name,
		"--proxy-mode="+l.Inputs.ProxyMode,
		"--cluster-cidr="+join(topology.Pods4, topology.Pods6),
		// The limits of connection tracking can only be changed in the machine's own namespace, which is not ours to change.
		"--conntrack-max-per-core=0", "--conntrack-min=0", "--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s",
		"--healthz-bind-address="+net.JoinHostPort("0.0.0.0", "10256"))
	if err != nil {
		return err
	}
	err = l.start(node.Name+"-kubelet", node.Name, l.binary("kubelet"),
		"--kubeconfig="+config, "--config="+filepath.Join(data, "kubelet.yaml"),
		"--root-dir="+filepath.Join(data, "kubelet"), "--cert-dir="+filepath.Join(data, "kubelet-pki"),
		"--hostname-override="+node.Name,
		"--node-ip="+node.Addr4().String()+","+node.Addr6().String())
	if err != nil {
		return err
	}
	return l.await(ctx, node.Name+"-kubelet", startTimeout, func(ctx context.Context) error {
		return netspace.Run(netspace.Command(ctx, node.Name, "grep", "-q", pluginSocket, "/proc/net/unix"))
	})
}

const nodeReadyTimeout = 120 * time.Second
