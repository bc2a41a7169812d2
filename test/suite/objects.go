// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
)

// helloImage is the test server's image, which the lab loads on every node.
const helloImage = "metalsuite.io/hello:lab"

// Pool returns a pool of these addresses.
func Pool(name string, addresses ...string) *v1beta1.IPAddressPool {
	return &v1beta1.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: Namespace},
		Spec:       v1beta1.IPAddressPoolSpec{Addresses: addresses},
	}
}

// L2Advertisement returns an advertisement for these pools.
func L2Advertisement(name string, pools ...string) *v1beta1.L2Advertisement {
	return &v1beta1.L2Advertisement{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: Namespace},
		Spec:       v1beta1.L2AdvertisementSpec{IPAddressPools: pools},
	}
}

// OwnASN is the autonomous system of the cluster in the tests.
const OwnASN = 64512

// BGPPeer returns a peer of another autonomous system at an address.
func BGPPeer(name string, asn uint32, address netip.Addr) *v1beta2.BGPPeer {
	return &v1beta2.BGPPeer{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: Namespace},
		Spec:       v1beta2.BGPPeerSpec{MyASN: OwnASN, PeerASN: asn, PeerAddress: address.String(), ConnectTime: &metav1.Duration{Duration: time.Second}},
	}
}

// BGPAdvertisement returns an advertisement for these pools.
func BGPAdvertisement(name string, pools ...string) *v1beta1.BGPAdvertisement {
	return &v1beta1.BGPAdvertisement{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: Namespace},
		Spec:       v1beta1.BGPAdvertisementSpec{IPAddressPools: pools},
	}
}

// BFDProfile returns a profile of these intervals, in ms, in both directions.
func BFDProfile(name string, interval, multiplier uint32) *v1beta1.BFDProfile {
	return &v1beta1.BFDProfile{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: Namespace},
		Spec:       v1beta1.BFDProfileSpec{TransmitInterval: &interval, ReceiveInterval: &interval, DetectMultiplier: &multiplier},
	}
}

// Sessions returns what each node tells of its session with a BGPPeer, by node.
func (s *Suite) Sessions(ctx context.Context, peer string) (map[string]v1beta1.BGPSessionStatusStatus, error) {
	var list v1beta1.BGPSessionStatusList
	if err := s.Client.List(ctx, &list, client.InNamespace(Namespace)); err != nil {
		return nil, fmt.Errorf("listing the sessions with %s: %w", peer, err)
	}
	all := map[string]v1beta1.BGPSessionStatusStatus{}
	for _, i := range list.Items {
		if i.Status.Peer == peer {
			all[i.Status.Node] = i.Status
		}
	}
	return all, nil
}

// ours marks the namespaces of the tests, so that whoever comes next finds and removes them.
var ours = client.MatchingLabels{"metalsuite.io/test": "true"}

// HelloNamespace returns a namespace for test servers.
func HelloNamespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: maps.Clone(ours)}}
}

// HelloDeployment returns test servers that answer with their name, spread over the nodes.
func HelloDeployment(namespace, name string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To(replicas),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{
						MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.DoNotSchedule,
						LabelSelector: &metav1.LabelSelector{MatchLabels: labels},
					}},
					// A node that was cut off must not lose its server while a test looks elsewhere.
					Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					TerminationGracePeriodSeconds: ptr.To(int64(0)),
					Containers: []corev1.Container{{
						Name: "hello", Image: helloImage, ImagePullPolicy: corev1.PullIfNotPresent,
						Ports:          []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
						ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromString("http")}}},
					}},
				},
			},
		},
	}
}

// HelloService returns a Service of type LoadBalancer, port 80, in front of the test servers of that name.
func HelloService(namespace, name, app string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeLoadBalancer,
			Selector: map[string]string{"app": app},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http"), Protocol: corev1.ProtocolTCP}},
		},
	}
}
