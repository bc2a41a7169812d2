// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var _ = Describe("the image of the operands", func() {
	const digest = "mirror.example/metalsuite@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

	It("is that of the operator's own pod", func(ctx context.Context) {
		h := newHouse(ctx)
		for name, containers := range map[string][]corev1.Container{
			"own":   {{Name: "proxy", Image: "proxy"}, {Name: "operator", Image: digest}},
			"other": {{Name: "manager", Image: digest}},
		} {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: name}, Spec: corev1.PodSpec{Containers: containers}}
			Expect(api.Create(ctx, pod)).To(Succeed())
		}
		Expect(OwnImage(ctx, api, h.namespace, "own")).To(Equal(digest))
		_, err := OwnImage(ctx, api, h.namespace, "other")
		Expect(err).To(MatchError(ContainSubstring("RELATED_IMAGE_METALSUITE")))
		_, err = OwnImage(ctx, api, h.namespace, "none")
		Expect(err).To(MatchError(ContainSubstring("reading the image")))
	})
})
