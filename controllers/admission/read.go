// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/policy"
)

// readObjects reads everything that a policy is compiled from, those of the suite from one namespace.
func readObjects(ctx context.Context, reader client.Reader, namespace string) (policy.Objects, error) {
	var (
		pools       v1beta1.IPAddressPoolList
		l2          v1beta1.L2AdvertisementList
		bgp         v1beta1.BGPAdvertisementList
		peers       v1beta2.BGPPeerList
		profiles    v1beta1.BFDProfileList
		communities v1beta1.CommunityList
		reserved    v1beta1.IPReservationList
	)
	for _, list := range []client.ObjectList{&pools, &l2, &bgp, &peers, &profiles, &communities, &reserved} {
		if err := reader.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return policy.Objects{}, fmt.Errorf("listing %T: %w", list, err)
		}
	}
	namespaces, err := readLabels(ctx, reader, "NamespaceList")
	if err != nil {
		return policy.Objects{}, err
	}
	nodes, err := readLabels(ctx, reader, "NodeList")
	return policy.Objects{
		Pools: pools.Items, L2Advertisements: l2.Items, BGPAdvertisements: bgp.Items,
		BGPPeers: peers.Items, BFDProfiles: profiles.Items, Communities: communities.Items, Reservations: reserved.Items,
		Namespaces: namespaces, Nodes: nodes,
	}, err
}

// readLabels returns the labels of all objects of a kind of the core group by name.
func readLabels(ctx context.Context, reader client.Reader, listKind string) (map[string]map[string]string, error) {
	all := map[string]map[string]string{}
	empty := func() *metav1.PartialObjectMetadataList {
		return &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: listKind}}
	}
	err := eachPage(ctx, reader, empty, func(page *metav1.PartialObjectMetadataList) {
		for i := range page.Items {
			all[page.Items[i].Name] = page.Items[i].Labels
		}
	})
	return all, err
}

// readRanges reads the ranges that the cluster uses itself: Pod CIDRs and Service CIDRs, or, where no object shows the latter (before Kubernetes
// 1.33), the cluster IPs that there are.
func readRanges(ctx context.Context, reader client.Reader) ([]allocation.Withheld, error) {
	var ranges []allocation.Withheld
	emptyNodes := func() *corev1.NodeList { return &corev1.NodeList{} }
	err := eachPage(ctx, reader, emptyNodes, func(page *corev1.NodeList) {
		ranges = append(ranges, policy.Cluster{Nodes: page.Items}.Ranges()...)
	})
	if err != nil {
		return ranges, err
	}
	var cidrs networkingv1.ServiceCIDRList
	err = reader.List(ctx, &cidrs)
	if err != nil && !meta.IsNoMatchError(err) && !apierrors.IsNotFound(err) {
		return ranges, fmt.Errorf("listing %T: %w", &cidrs, err)
	}
	if len(cidrs.Items) > 0 {
		return append(policy.Cluster{ServiceCIDRs: cidrs.Items}.Ranges(), ranges...), nil
	}
	emptyServices := func() *corev1.ServiceList { return &corev1.ServiceList{} }
	err = eachPage(ctx, reader, emptyServices, func(page *corev1.ServiceList) {
		ranges = append(ranges, policy.ClusterIPRanges(page.Items)...)
	})
	return ranges, err
}

// eachPage lists the objects of all namespaces page by page. Each page is read into an empty list: decoding into the one before would
// keep what the next leaves out.
func eachPage[L client.ObjectList](ctx context.Context, reader client.Reader, empty func() L, visit func(L)) error {
	next := ""
	for {
		page := empty()
		if err := reader.List(ctx, page, client.Limit(pageSize), client.Continue(next)); err != nil {
			return fmt.Errorf("listing %T: %w", page, err)
		}
		visit(page)
		if next = page.GetContinue(); next == "" {
			return nil
		}
	}
}
