// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"strings"
	"testing"
)

func TestStartIsRefusedWithAClearError(t *testing.T) {
	t.Setenv("RELATED_IMAGE_METALSUITE", "")
	t.Setenv("METALLB_POD_NAME", "")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no image":           {[]string{"--namespace=metallb-system"}, "METALLB_POD_NAME"},
		"no such kubeconfig": {[]string{"--namespace=metallb-system", "--image=x", "--kubeconfig=/nowhere"}, "finding the API server"},
	} {
		t.Run(name, func(t *testing.T) {
			command := New()
			command.SilenceUsage, command.SilenceErrors = true, true
			command.SetArgs(c.args)
			err := command.Execute()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}
