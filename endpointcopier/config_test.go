// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"metalsuite.io/api/reason"
)

func name(namespace, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}

var config = Config{
	Source: name("default", "kubernetes"), Target: name("default", "kubernetes-vip"), Annotated: true,
	Allowed: []types.NamespacedName{name("shared", "*"), name("infra", "db")},
}

func service(namespace, name string, annotations map[string]string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: annotations}}
}

func TestSourceOf(t *testing.T) {
	enabled := func(more ...string) map[string]string {
		a := map[string]string{AnnotationEnabled: "true"}
		for i := 0; i < len(more); i += 2 {
			a[more[i]] = more[i+1]
		}
		return a
	}
	for _, row := range []struct {
		name    string
		service *corev1.Service
		want    types.NamespacedName
		target  bool
	}{
		{"configured pair", service("default", "kubernetes-vip", nil), config.Source, true},
		{"same name, other namespace", service("x", "kubernetes-vip", nil), types.NamespacedName{}, false},
		{"plain Service", service("x", "web", nil), types.NamespacedName{}, false},
		{"not enabled", service("x", "web", map[string]string{AnnotationEnabled: "false", AnnotationSourceName: "a"}), types.NamespacedName{}, false},
		{"enabled only", service("x", "web", enabled()), config.Source, true},
		{"name only: own namespace", service("x", "web", enabled(AnnotationSourceName, "a")), name("x", "a"), true},
		{"namespace only: configured name", service("x", "web", enabled(AnnotationSourceNamespace, "y")), name("y", "kubernetes"), true},
		{"both", service("x", "web", enabled(AnnotationSourceName, "a", AnnotationSourceNamespace, "y")), name("y", "a"), true},
		{"the configured target asks for another source", service("default", "kubernetes-vip", enabled(AnnotationSourceName, "a")), name("default", "a"), true},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, target := config.SourceOf(row.service)
			if got != row.want || target != row.target {
				t.Fatalf("got %v %v", got, target)
			}
		})
	}
	t.Run("annotations are not served when switched off", func(t *testing.T) {
		if _, ok := (Config{Source: config.Source, Target: config.Target}).SourceOf(service("x", "web", enabled())); ok {
			t.Fatal("the Service must not be a target")
		}
	})
}

func TestRefusal(t *testing.T) {
	plain := service("x", "web", nil)
	selecting := service("x", "web", nil)
	selecting.Spec.Selector = map[string]string{"app": "web"}
	external := service("x", "web", nil)
	external.Spec.Type = corev1.ServiceTypeExternalName
	for _, row := range []struct {
		name    string
		service *corev1.Service
		source  types.NamespacedName
		want    reason.Reason
	}{
		{"configured source from a foreign namespace", plain, config.Source, reason.SourceNotAllowed},
		{"configured source from the configured target", service("default", "kubernetes-vip", nil), config.Source, ""},
		{"configured source from beside the configured target", service("default", "web", nil), config.Source, ""},
		{"own namespace", plain, name("x", "a"), ""},
		{"allowed namespace", plain, name("shared", "a"), ""},
		{"allowed Service", plain, name("infra", "db"), ""},
		{"other Service of the namespace", plain, name("infra", "web"), reason.SourceNotAllowed},
		{"other Service beside the configured source", plain, name("default", "web"), reason.SourceNotAllowed},
		{"foreign namespace", plain, name("y", "a"), reason.SourceNotAllowed},
		{"itself", plain, name("x", "web"), reason.SourceNotAllowed},
		{"selector", selecting, config.Source, reason.TargetHasSelector},
		{"external name", external, config.Source, reason.TargetIsExternalName},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got reason.Reason
			if p := config.Refusal(row.service, row.source); p != nil {
				got = p.Reason
			}
			if got != row.want {
				t.Fatalf("got %q, want %q", got, row.want)
			}
		})
	}
}

// The pair may span two namespaces. Its source then serves the namespace of its target and still no other.
func TestRefusalOfPairAcrossNamespaces(t *testing.T) {
	across := Config{Source: name("a", "api"), Target: name("b", "vip"), Annotated: true}
	for namespace, want := range map[string]bool{"a": true, "b": true, "c": false} {
		if got := across.Refusal(service(namespace, "web", nil), across.Source) == nil; got != want {
			t.Errorf("a target in namespace %s: allowed %t, want %t", namespace, got, want)
		}
	}
}

func TestParseSource(t *testing.T) {
	for _, row := range []struct {
		in   string
		want types.NamespacedName
		ok   bool
	}{
		{"a/b", name("a", "b"), true},
		{"a/*", name("a", "*"), true},
		{"a", types.NamespacedName{}, false},
		{"/b", types.NamespacedName{}, false},
		{"a/", types.NamespacedName{}, false},
		{"a/b/c", types.NamespacedName{}, false},
		{"*/b", types.NamespacedName{}, false},
		{"", types.NamespacedName{}, false},
	} {
		t.Run(row.in, func(t *testing.T) {
			got, err := ParseSource(row.in)
			if got != row.want || (err == nil) != row.ok {
				t.Fatalf("got %v, %v", got, err)
			}
		})
	}
}
