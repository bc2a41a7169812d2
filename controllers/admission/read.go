// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
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
