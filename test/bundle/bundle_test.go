// SPDX-License-Identifier: Apache-2.0

// Package bundle validates the OLM bundle with the validators that catalogs use. It is a module of its own, so that their dependencies
// stay out of the suite.
package bundle

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/operator-framework/api/pkg/validation"
	interfaces "github.com/operator-framework/api/pkg/validation/interfaces"
	"sigs.k8s.io/yaml"
)

const folder = "../../bundle"

func load(t *testing.T) *manifests.Bundle {
	t.Helper()
	b, err := manifests.GetBundleFromDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A field that OLM does not know has no effect, and a catalog drops it.
func TestTheClusterServiceVersionHasOnlyKnownFields(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(folder, "manifests", "metalsuite.clusterserviceversion.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var csv v1alpha1.ClusterServiceVersion
	if err := yaml.UnmarshalStrict(text, &csv); err != nil {
		t.Error(err)
	}
}

func TestValidators(t *testing.T) {
	extra := interfaces.Validators{
		validation.OperatorHubV2Validator, validation.StandardCapabilitiesValidator, validation.StandardCategoriesValidator,
		validation.ObjectValidator, validation.AlphaDeprecatedAPIsValidator, validation.GoodPracticesValidator,
	}
	objects := load(t).ObjectsToValidate()
	for _, result := range slices.Concat(validation.DefaultBundleValidators.Validate(objects...), extra.Validate(objects...)) {
		for _, problem := range slices.Concat(result.Errors, result.Warnings) {
			t.Errorf("%s: %s", result.Name, problem.Error())
		}
	}
}

// OLM creates every service account that the CSV grants something, and only those: the operator creates none.
func TestEveryRoleHasItsServiceAccount(t *testing.T) {
	csv := load(t).CSV
	for _, name := range []string{"metalsuite-operator", "controller", "speaker", "endpoint-copier"} {
		granted := false
		for _, p := range csv.Spec.InstallStrategy.StrategySpec.ClusterPermissions {
			granted = granted || p.ServiceAccountName == name && len(p.Rules) > 0
		}
		if !granted {
			t.Errorf("service account %s has no cluster permissions, so OLM does not create it", name)
		}
	}
}

// Operands run the image of the operator's own pod unless RELATED_IMAGE_METALSUITE names another one, so a mirror that replaces the operator's
// image replaces theirs.
func TestOperandsRunTheRelatedImage(t *testing.T) {
	csv := load(t).CSV
	container := csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs[0].Spec.Template.Spec.Containers[0]
	if len(csv.Spec.RelatedImages) != 1 || csv.Spec.RelatedImages[0].Image != container.Image {
		t.Errorf("the related images are %v, want the operator's %s alone", csv.Spec.RelatedImages, container.Image)
	}
	knowsItsPod := false
	for _, variable := range container.Env {
		if variable.Name == "RELATED_IMAGE_METALSUITE" && variable.Value != container.Image {
			t.Errorf("operands would run %s, which is not a related image", variable.Value)
		}
		from := variable.ValueFrom
		knowsItsPod = knowsItsPod || variable.Name == "METALLB_POD_NAME" && from != nil && from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.name"
	}
	if !knowsItsPod {
		t.Error("the operator does not know the name of its pod, whose image its operands run")
	}
}

func TestDockerfileAndAnnotationsAgree(t *testing.T) {
	dockerfile, err := os.ReadFile(filepath.Join(folder, "bundle.Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	annotations, err := os.ReadFile(filepath.Join(folder, "metadata", "annotations.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	labels, keys := pairs(string(dockerfile), "LABEL ", "="), pairs(string(annotations), "  ", ": ")
	if len(labels) < 6 || !slices.Equal(labels, keys) {
		t.Errorf("labels %q, annotations %q", labels, keys)
	}
}

// OLM routes each webhook to a container of the deployment by port, and serves them with certificates of its own.
func TestWebhooksReachTheOperator(t *testing.T) {
	csv := load(t).CSV
	deployment := csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs[0]
	ports := map[int32]bool{}
	for _, p := range deployment.Spec.Template.Spec.Containers[0].Ports {
		ports[p.ContainerPort] = true
	}
	if len(csv.Spec.WebhookDefinitions) < 6 {
		t.Errorf("got %d webhooks", len(csv.Spec.WebhookDefinitions))
	}
	for _, w := range csv.Spec.WebhookDefinitions {
		if w.DeploymentName != deployment.Name || !ports[w.TargetPort.IntVal] || *w.FailurePolicy != "Ignore" {
			t.Errorf("%s: deployment %s, target port %s, failure policy %s", w.GenerateName, w.DeploymentName, w.TargetPort.String(), *w.FailurePolicy)
		}
	}
}
