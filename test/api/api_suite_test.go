// SPDX-License-Identifier: Apache-2.0

// Package api tries the definitions of the kinds on a real API server: what it accepts, what it refuses and why, what it adds. One
// control plane serves all specs; each spec creates objects under names of its own.
package api

import (
	"context"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/test/shipped"
)

var (
	environment *envtest.Environment
	config      *rest.Config
	api         client.Client
)

func TestAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "API")
}

var _ = BeforeSuite(func() {
	ctrl.SetLogger(GinkgoLogr)
	environment = &envtest.Environment{
		CRDDirectoryPaths:     []string{shipped.Path(shipped.CRDs)},
		ErrorIfCRDPathMissing: true,
	}
	var err error
	config, err = environment.Start()
	Expect(err).NotTo(HaveOccurred())

	scheme := runtime.NewScheme()
	utilruntime.Must(v1beta1.AddToScheme(scheme))
	utilruntime.Must(v1beta2.AddToScheme(scheme))
	api, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
})

var _ = AfterSuite(func() {
	Expect(environment.Stop()).To(Succeed())
})

// accepted is the refusal of an object that is accepted.
const accepted = ""

// object builds an object of a kind ("BGPPeer", "v1beta1/BGPPeer") from the YAML of all but its type and metadata.
func object(kind, content string) *unstructured.Unstructured {
	GinkgoHelper()
	version := "v1beta1"
	if v, k, ok := strings.Cut(kind, "/"); ok {
		version, kind = v, k
	}
	fields := map[string]any{}
	Expect(yaml.UnmarshalStrict([]byte(content), &fields)).To(Succeed())
	o := &unstructured.Unstructured{Object: fields}
	o.SetAPIVersion("metallb.io/" + version)
	o.SetKind(kind)
	o.SetNamespace("default")
	o.SetGenerateName(strings.ToLower(kind) + "-")
	return o
}

// admits returns the body of a table: content is created, and either accepted or refused with a message that has the fragment.
func admits(kind string) func(ctx context.Context, content, fragment string) {
	return func(ctx context.Context, content, fragment string) {
		err := api.Create(ctx, object(kind, content), client.FieldValidation("Strict"))
		if fragment == accepted {
			Expect(err).NotTo(HaveOccurred())
			return
		}
		Expect(err).To(MatchError(ContainSubstring(fragment)))
	}
}

// create creates the object and returns it as the API server stored it.
func create(ctx context.Context, kind, content string) *unstructured.Unstructured {
	GinkgoHelper()
	o := object(kind, content)
	Expect(api.Create(ctx, o, client.FieldValidation("Strict"))).To(Succeed())
	return o
}

func at(o *unstructured.Unstructured, path ...string) any {
	GinkgoHelper()
	value, found, err := unstructured.NestedFieldNoCopy(o.Object, path...)
	Expect(err).NotTo(HaveOccurred())
	if !found {
		return nil
	}
	return value
}
