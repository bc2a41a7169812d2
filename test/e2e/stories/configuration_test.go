// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/test/suite"
)

var _ = Describe("The ConfigurationState of a speaker", func() {
	It("is invalid within 30 s while a password is missing on its node, and valid again once it is there", func(ctx SpecContext) {
		const name = "without-secret"
		node, other := nodeName(0), nodeName(1)
		peer := on(routerAt(name, cluster.Lab.Router().Addr4()), node)
		peer.Spec.PasswordSecret.Name = name
		apply(ctx, peer)
		Eventually(ctx, summary).WithArguments("speaker-" + node).WithTimeout(30 * time.Second).Should(And(
			HavePrefix("Invalid: "), ContainSubstring("BGPPeer "+name+": PasswordSecretMissing: ")))
		Consistently(ctx, summary).WithArguments("speaker-" + other).WithTimeout(3 * time.Second).ShouldNot(ContainSubstring(name))
		Eventually(ctx, events).WithArguments("BGPPeer", name).Should(ContainElement("PasswordSecretMissing"))

		By("connecting without a password when the Secret has an empty one")
		apply(ctx, &corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: suite.Namespace},
			Type:       corev1.SecretTypeBasicAuth, Data: map[string][]byte{"password": {}},
		})
		expectSession(ctx, name, node, HaveField("Reason", "PasswordEmpty"))
		Eventually(ctx, summary).WithArguments("speaker-" + node).WithTimeout(30 * time.Second).ShouldNot(ContainSubstring(name))
	})

	It("is invalid on the nodes alone that an invalid BGPPeer selects", func(ctx SpecContext) {
		const name = "without-profile"
		node, other := nodeName(1), nodeName(0)
		peer := on(routerAt(name, cluster.Lab.Router().Addr4()), node)
		peer.Spec.BFDProfile = "gone"
		apply(ctx, peer)
		Eventually(ctx, summary).WithArguments("speaker-" + node).WithTimeout(30 * time.Second).Should(ContainSubstring("BGPPeer " + name + ": UnknownBFDProfile: "))
		Consistently(ctx, summary).WithArguments("speaker-" + other).WithTimeout(3 * time.Second).ShouldNot(ContainSubstring(name))
	})
})
