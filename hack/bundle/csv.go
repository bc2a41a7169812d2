// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const minKubeVersion = "1.31.0"

const description = `Services of type LoadBalancer for Kubernetes on bare metal, from one resource.

Create a MetalLB resource named metallb in the operator's namespace, an IPAddressPool and an L2Advertisement or a BGPAdvertisement. The
operator installs a controller, which gives Services their addresses, speakers, which make the network send those addresses to the
cluster, and an endpoint copier, which puts the Kubernetes API behind a virtual address. The API is that of MetalLB.

The speakers use the network of their nodes: label the namespace with pod-security.kubernetes.io/enforce: privileged.
`

// summary is the text by which catalogs list the operator.
const summary = "Services of type LoadBalancer for Kubernetes on bare metal"

const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" rx="12" fill="#1f3a5f"/>` +
	`<circle cx="32" cy="14" r="7" fill="#fff"/><g fill="#7fd1ae"><circle cx="14" cy="50" r="6"/><circle cx="32" cy="50" r="6"/>` +
	`<circle cx="50" cy="50" r="6"/></g><path d="M32 21v23M32 30 14 44M32 30l18 14" stroke="#fff" stroke-width="3" fill="none"/></svg>` + "\n"

// suggestedNamespace is the namespace that a console offers to create: speakers need its pod security level.
const suggestedNamespace = `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"metallb-system","labels":{` +
	`"pod-security.kubernetes.io/enforce":"privileged","pod-security.kubernetes.io/audit":"privileged","pod-security.kubernetes.io/warn":"privileged"}}}`

type object = map[string]any

// serviceVersion returns the ClusterServiceVersion as YAML.
func (s *source) serviceVersion() ([]byte, error) {
	deployments, err := s.deployments()
	if err != nil {
		return nil, err
	}
	if len(deployments) != 1 {
		return nil, fmt.Errorf("found %d deployments, want the operator's alone", len(deployments))
	}
	definitions, err := s.definitions()
	if err != nil {
		return nil, err
	}
	image := deployments[0].Spec.Template.Spec.Containers[0].Image
	notes, err := s.notes(definitions, image)
	if err != nil {
		return nil, err
	}
	install, err := s.install(deployments[0])
	if err != nil {
		return nil, err
	}
	webhooks, err := s.webhookDefinitions(deployments[0].Name)
	if err != nil {
		return nil, err
	}
	csv := object{
		"apiVersion": "operators.coreos.com/v1alpha1",
		"kind":       "ClusterServiceVersion",
		"metadata": object{
			"name":        packageName + ".v" + version,
			"namespace":   "placeholder",
			"annotations": notes,
			"labels": object{
				"operatorframework.io/arch.amd64": "supported",
				"operatorframework.io/arch.arm64": "supported",
				"operatorframework.io/os.linux":   "supported",
			},
		},
		"spec": spec(definitions, install, webhooks, image),
	}
	text, err := yaml.Marshal(csv)
	return append([]byte(generated), text...), err
}

func spec(definitions []apiextensionsv1.CustomResourceDefinition, install object, webhooks []object, image string) object {
	return object{
		"displayName":               "Metalsuite",
		"description":               description,
		"version":                   version,
		"maturity":                  "alpha",
		"minKubeVersion":            minKubeVersion,
		"provider":                  object{"name": "The metalsuite authors"},
		"keywords":                  []string{"load balancer", "bare metal", "metallb", "bgp", "arp"},
		"links":                     []object{{"name": "Project", "url": "https://metalsuite.io"}},
		"icon":                      []object{{"base64data": base64.StdEncoding.EncodeToString([]byte(icon)), "mediatype": "image/svg+xml"}},
		"relatedImages":             []object{{"name": packageName, "image": image}},
		"installModes":              installModes(),
		"customresourcedefinitions": object{"owned": ownedDefinitions(definitions)},
		"install":                   install,
		"webhookdefinitions":        webhooks,
	}
}

// installModes: the operator watches MetalLB resources of all namespaces, to tell about those in the wrong one.
func installModes() []object {
	var modes []object
	for _, mode := range []string{"OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces"} {
		modes = append(modes, object{"type": mode, "supported": mode == "AllNamespaces"})
	}
	return modes
}

func (s *source) install(operator appsv1.Deployment) (object, error) {
	clusterWide, err := s.clusterPermissions()
	if err != nil {
		return nil, err
	}
	inNamespace, err := s.namespacePermissions()
	if err != nil {
		return nil, err
	}
	return object{
		"strategy": "deployment",
		"spec": object{
			"clusterPermissions": clusterWide,
			"permissions":        inNamespace,
			"deployments":        []object{{"name": operator.Name, "label": operator.Labels, "spec": operator.Spec}},
		},
	}, nil
}

func (s *source) notes(definitions []apiextensionsv1.CustomResourceDefinition, image string) (map[string]string, error) {
	var examples []object
	var internal []string
	for _, d := range definitions {
		for _, v := range d.Spec.Versions {
			examples = append(examples, s.sample(d.Spec.Group, v.Name, d.Spec.Names.Kind))
		}
		if writtenBySuite(d) {
			internal = append(internal, d.Name)
		}
	}
	almExamples, err := json.MarshalIndent(examples, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding examples: %w", err)
	}
	internalObjects, err := json.Marshal(internal)
	if err != nil {
		return nil, fmt.Errorf("encoding internal objects: %w", err)
	}
	initial, err := json.Marshal(s.sample("metallb.io", "v1beta1", "MetalLB"))
	if err != nil {
		return nil, fmt.Errorf("encoding the initial resource: %w", err)
	}
	return map[string]string{
		"alm-examples":   string(almExamples),
		"capabilities":   "Basic Install",
		"categories":     "Networking",
		"containerImage": image,
		"description":    summary,
		"features.operators.openshift.io/disconnected":      "true",
		"operatorframework.io/initialization-resource":      string(initial),
		"operatorframework.io/suggested-namespace-template": suggestedNamespace,
		"operators.operatorframework.io/internal-objects":   string(internalObjects),
		"operators.operatorframework.io/project_layout":     "go.kubebuilder.io/v4",
		"features.operators.openshift.io/fips-compliant":    "false",
		"features.operators.openshift.io/proxy-aware":       "false",
		"features.operators.openshift.io/tls-profiles":      "false",
		"features.operators.openshift.io/token-auth-aws":    "false",
		"features.operators.openshift.io/token-auth-azure":  "false",
		"features.operators.openshift.io/token-auth-gcp":    "false",
	}, nil
}

// writtenBySuite are the kinds that only tell: users read them and never create one.
func writtenBySuite(d apiextensionsv1.CustomResourceDefinition) bool {
	kind := d.Spec.Names.Kind
	return strings.HasPrefix(kind, "Service") || kind == "ConfigurationState"
}
