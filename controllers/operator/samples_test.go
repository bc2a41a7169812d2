// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

var _ = Describe("the samples", func() {
	It("are accepted, with no field unknown", func(ctx context.Context) {
		h := newHouse(ctx)
		strict := client.WithFieldValidation(api, "Strict")
		files, err := filepath.Glob("../../config/samples/*.yaml")
		Expect(err).NotTo(HaveOccurred())
		more, err := filepath.Glob("../../config/samples/*/*.yaml")
		Expect(err).NotTo(HaveOccurred())
		accepted := 0
		for _, file := range append(files, more...) {
			raw, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			object := &unstructured.Unstructured{}
			Expect(yaml.Unmarshal(raw, &object.Object)).To(Succeed())
			if object.GetKind() == "Kustomization" {
				continue
			}
			object.SetNamespace(h.namespace)
			Expect(strict.Create(ctx, object)).To(Succeed(), file)
			DeferCleanup(func(ctx context.Context) { Expect(api.Delete(ctx, object)).To(Succeed()) })
			accepted++
		}
		Expect(accepted).To(Equal(8))
	})
})
