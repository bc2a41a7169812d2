// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/types"

	"metalsuite.io/endpointcopier"
)

func TestConfig(t *testing.T) {
	kubernetes := types.NamespacedName{Namespace: "default", Name: "kubernetes"}
	vip := types.NamespacedName{Namespace: "default", Name: "kubernetes-vip"}
	for _, row := range []struct {
		name string
		args []string
		want endpointcopier.Config
		fail bool
	}{
		{"defaults", nil, endpointcopier.Config{Source: kubernetes, Target: vip}, false},
		{"another pair", []string{"--source-namespace=a", "--source-name=b", "--target-namespace=c", "--target-name=d"},
			endpointcopier.Config{Source: types.NamespacedName{Namespace: "a", Name: "b"}, Target: types.NamespacedName{Namespace: "c", Name: "d"}}, false},
		{"allowed sources", []string{"--annotated-services", "--allow-source=a/b,c/*"},
			endpointcopier.Config{Source: kubernetes, Target: vip, Annotated: true, Allowed: []types.NamespacedName{{Namespace: "a", Name: "b"}, {Namespace: "c", Name: "*"}}}, false},
		{"source is target", []string{"--target-name=kubernetes"}, endpointcopier.Config{}, true},
		{"no name", []string{"--target-name="}, endpointcopier.Config{}, true},
		{"allowed source without name", []string{"--allow-source=a"}, endpointcopier.Config{}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			o, flags := &options{}, pflag.NewFlagSet("", pflag.ContinueOnError)
			o.bind(flags)
			if err := flags.Parse(row.args); err != nil {
				t.Fatal(err)
			}
			got, err := o.config()
			if row.fail != (err != nil) {
				t.Fatalf("got error %v", err)
			}
			if !row.fail {
				if diff := cmp.Diff(row.want, got); diff != "" {
					t.Fatal(diff)
				}
			}
		})
	}
}
